module UtpPunch.Sim.Tests.Program

open Expecto

[<EntryPoint>]
let main args =
    testList
        "sim"
        [ OracleTests.tests
          ReceiverOracle.tests
          ControllerOracle.tests
          RecordedTests.tests
          RecordingTests.tests ]
    |> runTestsWithCLIArgs [] args
