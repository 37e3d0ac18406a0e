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
          RandomScenarios.tests
          Corpus.tests
          EveryLoss.tests
          Permutations.tests
          PacketTable.tests
          Liveness.tests
          Metamorphic.tests
          Bounds.tests ]
    |> runTestsWithCLIArgs [] args
