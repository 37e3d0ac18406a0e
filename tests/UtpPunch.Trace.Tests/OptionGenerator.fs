/// Random options of nodes.
module UtpPunch.Tracing.Tests.OptionGenerator

open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol

let private anyOf<'T> = ArbMap.defaults.ArbFor<'T>().Generator

let private durations = Gen.oneof [ Gen.constant Time.never; Gen.map Time.microseconds anyOf<int64> ]

let options =
    gen {
        let! numbers = Gen.listOfLength 2 (Gen.choose (0, 1 <<< 30))
        let! sizes = Gen.listOfLength 2 (Gen.choose (21, 65535))
        let! window = Gen.choose (1, 65535)
        let! streams = Gen.listOfLength 2 (Gen.choose (0, 1 <<< 24))
        let! times = Gen.listOfLength 8 durations
        let! noDelay = anyOf<bool>
        let! congestion = Gen.elements CongestionControls.all
        let! dialect = Gen.elements [ Dialect.Bep29; Dialect.UtpPunch ]

        let stream =
            { SendBuffer = numbers[0]
              MaxSendBuffer = numbers[1] / 2
              ReceiveBuffer = numbers[1]
              MaxReceiveBuffer = numbers[0] / 2
              PacketSize = sizes[0]
              LargestPacket = sizes[1]
              PacketWindow = window
              MaxPacketWindow = 65536 - window
              ReorderWindow = window / 4
              GiveUpAfter = times[0]
              IdleTimeout = times[1]
              KeepAlive = times[2]
              Migrates = noDelay
              InitialRto = times[3]
              MinRto = times[4]
              MaxRto = times[5]
              TargetDelay = times[6]
              Congestion = congestion
              NoDelay = noDelay }

        return
            { NodeOptions.standard with
                Dialect = dialect
                MaxConnections = streams[0]
                MaxHalfOpen = streams[1]
                HalfOpenTimeout = times[7]
                Bep29 = stream
                UtpPunch = { stream with NoDelay = not noDelay; SendBuffer = 9 } }
    }
