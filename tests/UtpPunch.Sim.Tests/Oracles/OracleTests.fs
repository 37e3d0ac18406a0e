/// The core and the oracle in every combination. A failure in only one combination shows which half is at fault.
module UtpPunch.Sim.Tests.OracleTests

open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Crossing

let private link =
    gen {
        let! delay = Gen.elements [ 0; 1; 10; 50; 200 ]
        let! jitter = Gen.frequency [ 2, Gen.constant 0; 2, Gen.choose (1, 80) ]
        let! loss = Gen.frequency [ 1, Gen.constant 0; 2, Gen.choose (1, 300) ]
        let! duplication = Gen.frequency [ 1, Gen.constant 0; 1, Gen.choose (1, 300) ]
        let! rate = Gen.frequency [ 3, Gen.constant 0; 1, Gen.choose (50_000, 1_000_000) ]

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
          1, Gen.choose (1, 3)
          2, Gen.choose (990, 1400)
          3, Gen.choose (0, 20_000)
          2, Gen.choose (0, 200_000) ]

let private crossing =
    gen {
        let! seed = Gen.choose (1, System.Int32.MaxValue)
        let! dialect = Gen.elements [ Dialect.Bep29; Dialect.Bep29; Dialect.UtpPunch ]
        let! fromDialler = size
        let! fromAcceptor = size
        let! writeSize = Gen.elements [ 100; 1000; 1300; 1301; 65_536; 1 <<< 20 ]
        let! linkAB = link
        let! linkBA = link
        let! window = Gen.elements [ 1; 8 ]
        let! sacks = Gen.elements [ true; false ]
        let! wraps = Gen.elements [ true; false ]

        return
            { Seed = uint64 seed
              Dialect = dialect
              Dialler = Oracle(window, sacks)
              Acceptor = Oracle(window, sacks)
              FromDialler = fromDialler
              FromAcceptor = fromAcceptor
              // Thousands of small packets, one at a time, test nothing more.
              WriteSize = if fromDialler + fromAcceptor > 20_000 then max 1000 writeSize else writeSize
              LinkAB = linkAB
              LinkBA = linkBA
              Wraps = wraps }
    }

let private shrinkLink (link: Link) =
    seq {
        if link.Loss > 0 then { link with Loss = 0 }

        if link.Duplication > 0 then { link with Duplication = 0 }

        if link.Jitter > 0L<us> then { link with Jitter = 0L<us> }

        if link.Rate > 0 then { link with Rate = 0 }

        if link.Loss > 20 then { link with Loss = link.Loss / 2 }
    }

let private shrinkCrossing (it: Crossing) =
    seq {
        for linkAB in shrinkLink it.LinkAB do
            { it with LinkAB = linkAB }

        for linkBA in shrinkLink it.LinkBA do
            { it with LinkBA = linkBA }

        if it.FromDialler > 0 then
            { it with FromDialler = 0 }
            { it with FromDialler = it.FromDialler / 2 }

        if it.FromAcceptor > 0 then
            { it with FromAcceptor = 0 }
            { it with FromAcceptor = it.FromAcceptor / 2 }

        if it.Wraps then { it with Wraps = false }

        if it.Dialect <> Dialect.Bep29 then { it with Dialect = Dialect.Bep29 }
    }

type Arbitraries =
    static member Crossing() : Arbitrary<Crossing> = Arb.fromGenShrink (crossing, shrinkCrossing)

let private config =
    { FsCheckConfig.defaultConfig with arbitrary = [ typeof<Arbitraries> ]; maxTest = 200 }

/// One packet in flight over 200 ms and a time-out of a second: 200 kB take a while.
let private timeout = Time.seconds 1200

let private carries name (cast: Crossing -> Crossing) =
    testPropertyWithConfig config $"{name}: all bytes and the end arrive, and both close" (fun crossing ->
        let struct (trouble, took) = run timeout (cast crossing)

        if not trouble.IsEmpty then
            let trouble = String.concat "; " trouble
            failtest $"{trouble}; at {int64 took} us")

/// A readable case besides the random ones.
let private calm =
    { Seed = 3UL
      Dialect = Dialect.Bep29
      Dialler = Core
      Acceptor = Core
      FromDialler = 100_000
      FromAcceptor = 100_000
      WriteSize = 10_000
      LinkAB = Link.perfect
      LinkBA = Link.perfect
      Wraps = false }

let tests =
    testList
        "oracles"
        [ carries "the oracle dials the oracle" id
          carries "the core dials the oracle" (fun it -> { it with Dialler = Core })
          carries "the oracle dials the core" (fun it -> { it with Acceptor = Core })
          carries "the core dials the core" (fun it -> { it with Dialler = Core; Acceptor = Core })
          test "a network that drops everything is noticed" {
              let struct (trouble, _) =
                  run (Time.seconds 300) { calm with LinkBA = { Link.perfect with Loss = 1000 } }

              Expect.isNonEmpty trouble "trouble"
          }
          test "go-back-N sends eight packets per round trip, and stop-and-wait an eighth of that" {
              let took window =
                  let oracle = Oracle(window, false)

                  let struct (trouble, took) =
                      run
                          (Time.seconds 100)
                          { calm with
                              Dialler = oracle
                              FromDialler = 1300 * 400
                              FromAcceptor = 0
                              WriteSize = 1300 * 400 }

                  Expect.isEmpty trouble "trouble"
                  int64 took / 20_000L

              // 400 packets over a round trip of 20 ms, and a few round trips for the handshake and the end. The core may delay
              // the acknowledgement of a packet that stays alone by 25 ms.
              let slow = took 1
              let fast = took 8
              Expect.isTrue (fast >= 50L && fast < 60L) $"{fast} round trips with a window of eight"
              Expect.isTrue (slow >= 400L && slow < 950L) $"{slow} round trips with a window of one"
          } ]
