module UtpPunch.Tracing.Tests.Program

open Expecto

[<EntryPoint>]
let main args = testList "trace" [ TraceTexts.tests; Replays.tests ] |> runTestsWithCLIArgs [] args
