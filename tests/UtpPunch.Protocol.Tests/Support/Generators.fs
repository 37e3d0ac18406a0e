/// Random values for the properties, with shrinkers that keep what they shrink meaningful.
module UtpPunch.Protocol.Tests.Generators

open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Sim

let private path =
    gen {
        let! delay = Gen.elements [ 0; 1; 10; 50; 300 ]
        let! jitter = Gen.frequency [ 2, Gen.constant 0; 1, Gen.choose (0, 60) ]
        let! loss = Gen.frequency [ 2, Gen.constant 0; 2, Gen.choose (0, 300) ]
        let! duplication = Gen.frequency [ 2, Gen.constant 0; 1, Gen.choose (0, 300) ]
        let! rate = Gen.frequency [ 3, Gen.constant 0; 1, Gen.choose (10_000, 1_000_000) ]

        return
            { Path.perfect with
                Delay = Time.milliseconds delay
                Lateness = (if jitter = 0 then Lateness.Never else Lateness.Uniform(Time.milliseconds jitter))
                Loss = (if loss = 0 then Loss.Never else Loss.Each loss)
                Duplication = duplication
                CopiesLate = Time.milliseconds (1 + jitter)
                Rate = (if rate = 0 then Rate.Unlimited else Rate.Constant rate)
                Queue = Queue.Tail(max 1 rate) }
    }

let private size =
    Gen.frequency
        [ 1, Gen.constant 0
          2, Gen.choose (1, 3)
          2, Gen.choose (1378, 1382)
          3, Gen.choose (0, 20_000)
          1, Gen.choose (0, 200_000) ]

let private scenario =
    gen {
        let! seed = Gen.choose (1, System.Int32.MaxValue)
        let! dialect = Gen.elements [ "bep29"; "bep29"; "utp-punch" ]
        let! fromA = size
        let! fromB = size
        let! writeSize = Gen.elements [ 1; 100; 1380; 1381; 10_000; 65_536 ]
        let! readSize = Gen.elements [ 0; 0; 5_000 ]
        let! ab = path
        let! ba = path
        let! noDelay = Gen.elements [ true; false ]
        let! batch = Gen.elements [ 1; 64 ]
        let! buffer = Gen.elements [ 4_096; 65_536; 1 <<< 20 ]
        // The others search the path MTU.
        let! isFixed = Gen.elements [ true; false ]
        let standard = NodeOptions.standard.Bep29

        let host =
            { Scenario.host with
                NoDelay = noDelay
                ReceiveBuffer = buffer
                PacketSize = (if isFixed then 1400 else standard.PacketSize)
                LargestPacket = (if isFixed then 1400 else standard.LargestPacket)
                Socket = { Scenario.socket with Batch = batch } }

        let plan bytes =
            { Scenario.plan bytes with
                // One byte at a time is for small streams.
                Chunk = (if fromA + fromB > 20_000 then max 100 writeSize else writeSize)
                ReadSize = readSize
                ReadPause = Time.milliseconds 20 }

        return
            { Scenario.calm with
                Seed = uint64 seed
                NodeSeed = uint64 seed
                Dialect = dialect
                A = host
                B = host
                AB = ab
                BA = ba
                Flows = [ { Scenario.flow 0 with Dialler = plan fromA; Acceptor = plan fromB } ]
                // Faults, then a calm path: after any first twenty seconds, every stream must come to its end.
                HealAt = Time.seconds 20 }
    }

type Arbitraries =
    static member Scenario() : Arbitrary<Scenario> = Arb.fromGenShrink (scenario, Shrink.candidates)

let config =
    { Expecto.FsCheckConfig.defaultConfig with arbitrary = [ typeof<Arbitraries> ]; maxTest = 100 }
