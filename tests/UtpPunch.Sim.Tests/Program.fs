module UtpPunch.Sim.Tests.Program

open Expecto

[<EntryPoint>]
let main args =
    if args = [| SameHashes.argument |] then
        for line in SameHashes.lines () do
            stdout.WriteLine line

        0
    else
        testList
            "sim"
            [ OracleTests.tests
              ReceiverOracle.tests
              RecordedTests.tests
              RecordingTests.tests
              RandomScenarios.tests
              Corpus.tests
              EveryLoss.tests
              Permutations.tests
              PacketTable.tests
              Liveness.tests
              Metamorphic.tests
              Bounds.tests
              CleanEnds.tests
              NatMatrices.tests
              PunchMatrices.tests
              OfferTests.tests
              SimultaneousTests.tests
              RefusedStreams.tests
              ServerTests.tests
              ReportTests.tests
              CrowdTests.tests
              InstanceTests.tests
              DualStackTests.tests
              Nat64Tests.tests
              FieldTests.tests
              Moves.tests
              Punching.tests
              MeetingAttacks.tests
              PunchCampaigns.tests
              NatKinds.tests
              NatLaws.tests
              NatGuessing.tests
              NatQuirks.tests
              InternetTests.tests
              OddsTests.tests
              AdversaryTests.tests
              BlindTests.tests
              HonestPeerTests.tests
              OperatorTests.tests
              LyingPeerTests.tests
              LinkTests.tests
              ModelTests.tests
              LabTests.tests
              SameHashes.tests ]
        |> runTestsWithCLIArgs [] args
