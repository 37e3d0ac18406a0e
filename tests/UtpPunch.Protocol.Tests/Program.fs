module UtpPunch.Protocol.Tests.Program

open Expecto

[<EntryPoint>]
let main args =
    testList "protocol" [ Handshake.tests; Closing.tests; Hostile.tests; Monkey.tests; Transfers.tests; Laws.tests ]
    |> runTestsWithCLIArgs [] args
