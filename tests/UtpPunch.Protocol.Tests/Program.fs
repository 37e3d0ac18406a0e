module UtpPunch.Protocol.Tests.Program

open Expecto

[<EntryPoint>]
let main args =
    testList
        "protocol"
        [ Values.tests
          WireTests.tests
          ReceiverTests.tests
          SenderTests.tests
          RangeTests.tests
          TimersTests.tests
          Congestion.tests
          CubicTests.tests
          LedbatTests.tests
          TwinTests.tests
          DeliveryRateTests.tests
          PathMtuTests.tests
          MtuStories.tests
          KeyShares.tests
          WindowStories.tests
          Handshake.tests
          Admission.tests
          ErrorCodes.tests
          Flow.tests
          PacingStories.tests
          TailLoss.tests
          LossToleranceTests.tests
          Closing.tests
          Parting.tests
          LongLivedStreams.tests
          OwnAddresses.tests
          GhostStories.tests
          TornIntroductions.tests
          LostTrains.tests
          Hostile.tests
          Limits.tests
          RandomPeer.tests
          AnyBytes.tests
          Forgeries.tests
          Transfers.tests
          Laws.tests
          AbsorbingLaws.tests
          SocketNumberTests.tests
          BothFamiliesTests.tests
          StunTests.tests
          StunServerTests.tests
          StunClientTests.tests
          StunClientLaws.tests
          MappedCandidateTests.tests
          Nat64Tests.tests
          GatewayTests.tests
          PortMapperTests.tests
          PortMapperLifeTests.tests
          PortMapperLaws.tests
          RendezvousTests.tests
          ReportStories.tests
          RendezvousAttacks.tests
          PunchAttacks.tests
          NamedPaths.tests
          LegacyStories.tests
          Footprint.tests
          PublicSurface.tests
          Tidy.tests
          Words.tests
          Links.tests ]
    |> runTestsWithCLIArgs [] args
