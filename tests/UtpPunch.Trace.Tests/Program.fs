module UtpPunch.Tracing.Tests.Program

open Expecto

[<EntryPoint>]
let main args =
    testList
        "trace"
        [ Schemas.tests
          TraceTexts.tests
          Snapshots.tests
          Replays.tests
          HostileTraces.tests
          DocumentedCommands.tests ]
    |> runTestsWithCLIArgs [] args
