/// Random values for the properties, with shrinkers that keep what they shrink meaningful.
module UtpPunch.Protocol.Tests.Generators

open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Sim

let private link =
    gen {
        let! delay = Gen.elements [ 0; 1; 10; 50; 300 ]
        let! jitter = Gen.frequency [ 2, Gen.constant 0; 1, Gen.choose (0, 60) ]
        let! loss = Gen.frequency [ 2, Gen.constant 0; 2, Gen.choose (0, 300) ]
        let! duplication = Gen.frequency [ 2, Gen.constant 0; 1, Gen.choose (0, 300) ]
        // Faults, then a calm path: whatever the first twenty seconds were like, the rest must bring every stream to its end.
        let! rate = Gen.frequency [ 3, Gen.constant 0; 1, Gen.choose (10_000, 1_000_000) ]

        return
            { Link.perfect with
                Delay = Time.milliseconds delay
                Jitter = Time.milliseconds jitter
                Loss = loss
                Duplication = duplication
                Rate = rate
                CalmAt = Time.seconds 20 }
    }

let private size =
    Gen.frequency
        [ 1, Gen.constant 0
          2, Gen.choose (1, 3)
          2, Gen.choose (1378, 1382)
          3, Gen.choose (0, 20_000)
          1, Gen.choose (0, 200_000) ]

let private conversation =
    gen {
        let! seed = Gen.choose (1, System.Int32.MaxValue)
        let! dialect = Gen.elements [ Dialect.Bep29; Dialect.Bep29; Dialect.UtpPunch ]
        let! fromA = size
        let! fromB = size
        let! writeSize = Gen.elements [ 1; 100; 1380; 1381; 10_000; 65_536 ]
        let! linkAB = link
        let! linkBA = link
        let! noDelay = Gen.elements [ true; false ]
        let! batches = Gen.elements [ true; false ]
        let! buffer = Gen.elements [ 4_096; 65_536; 1 <<< 20 ]

        return
            { Seed = uint64 seed
              Dialect = dialect
              FromA = fromA
              FromB = fromB
              // One byte at a time is for small streams.
              WriteSize = if fromA + fromB > 20_000 then max 100 writeSize else writeSize
              LinkAB = linkAB
              LinkBA = linkBA
              NoDelay = noDelay
              Batches = batches
              ReceiveBuffer = buffer }
    }

let private shrinkLink (link: Link) =
    seq {
        if link.Loss > 0 then { link with Loss = 0 }
        if link.Duplication > 0 then { link with Duplication = 0 }
        if link.Jitter > 0L<us> then { link with Jitter = 0L<us> }
        if link.Rate > 0 then { link with Rate = 0 }
        if link.Loss > 20 then { link with Loss = link.Loss / 2 }
    }

let private shrinkConversation (it: Conversation) =
    seq {
        for linkAB in shrinkLink it.LinkAB do
            { it with LinkAB = linkAB }

        for linkBA in shrinkLink it.LinkBA do
            { it with LinkBA = linkBA }

        if it.FromA > 0 then
            { it with FromA = 0 }
            { it with FromA = it.FromA / 2 }

        if it.FromB > 0 then
            { it with FromB = 0 }
            { it with FromB = it.FromB / 2 }

        if it.Batches then { it with Batches = false }
        if it.Dialect <> Dialect.Bep29 then { it with Dialect = Dialect.Bep29 }
    }

type Arbitraries =
    static member Conversation() : Arbitrary<Conversation> = Arb.fromGenShrink (conversation, shrinkConversation)

let config =
    { Expecto.FsCheckConfig.defaultConfig with arbitrary = [ typeof<Arbitraries> ]; maxTest = 100 }
