/// The core and the oracle in every combination. A failure in only one combination shows which half is at fault.
module UtpPunch.Sim.Tests.OracleTests

open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Crossing

let private path =
    gen {
        let! delay = Gen.elements [ 0; 1; 10; 50; 200 ]
        let! jitter = Gen.frequency [ 2, Gen.constant 0; 2, Gen.choose (1, 80) ]
        let! loss = Gen.frequency [ 1, Gen.constant 0; 2, Gen.choose (1, 300) ]
        let! duplication = Gen.frequency [ 1, Gen.constant 0; 1, Gen.choose (1, 300) ]
        let! rate = Gen.frequency [ 3, Gen.constant 0; 1, Gen.choose (50_000, 1_000_000) ]

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
          1, Gen.choose (1, 3)
          2, Gen.choose (990, 1400)
          3, Gen.choose (0, 20_000)
          2, Gen.choose (0, 200_000) ]

/// Each datagram is received separately, and the send buffer is that of the oracle.
let private host =
    { Scenario.host with SendBuffer = 1 <<< 20; Socket = { Scenario.socket with Batch = 1 } }

let private crossing =
    gen {
        let! seed = Gen.choose (1, System.Int32.MaxValue)
        let! dialect = Gen.elements [ "bep29"; "bep29"; "utp-punch" ]
        let! fromDialler = size
        let! fromAcceptor = size
        let! writeSize = Gen.elements [ 100; 1000; 1300; 1301; 65_536; 1 <<< 20 ]
        let! ab = path
        let! ba = path
        let! window = Gen.elements [ 1; 8 ]
        let! sacks = Gen.elements [ true; false ]
        let! wraps = Gen.elements [ true; false ]

        let plan bytes =
            { Scenario.plan bytes with
                // Thousands of small packets, one at a time, test nothing more.
                Chunk = if fromDialler + fromAcceptor > 20_000 then max 1000 writeSize else writeSize }

        let scenario =
            { Scenario.calm with
                Seed = uint64 seed
                Dialect = dialect
                A = host
                B = host
                AB = ab
                BA = ba
                Flows = [ { Scenario.flow 0 with Dialler = plan fromDialler; Acceptor = plan fromAcceptor } ]
                HealAt = Time.seconds 20 }

        return
            { Scenario = scenario
              Dialler = Oracle(window, sacks)
              Acceptor = Oracle(window, sacks)
              Wraps = wraps }
    }

let private shrink (it: Crossing) =
    seq {
        for scenario in Shrink.candidates it.Scenario do
            { it with Scenario = scenario }

        if it.Wraps then { it with Wraps = false }
    }

type Arbitraries =
    static member Crossing() : Arbitrary<Crossing> = Arb.fromGenShrink (crossing, shrink)

let private config =
    { FsCheckConfig.defaultConfig with arbitrary = [ typeof<Arbitraries> ]; maxTest = 200 }

/// One packet in flight over 200 ms and a time-out of a second: 200 kB take a while.
let private timeout = Time.seconds 1200

let private carries name (cast: Crossing -> Crossing) =
    testPropertyWithConfig config $"{name}: all bytes and the end arrive, and both close" (fun crossing ->
        let struct (failures, took) = run timeout (cast crossing)

        if not failures.IsEmpty then
            let failures = String.concat "; " failures
            failtest $"{failures}; at {int64 took} us")

/// A readable case besides the random ones.
let private calm =
    { Scenario = { Scenario.calm with Seed = 3UL; A = host; B = host }
      Dialler = Core
      Acceptor = Core
      Wraps = false }

let tests =
    testList
        "oracles"
        [ carries "the oracle dials the oracle" id
          carries "the core dials the oracle" (fun it -> { it with Dialler = Core })
          carries "the oracle dials the core" (fun it -> { it with Acceptor = Core })
          carries "the core dials the core" (fun it -> { it with Dialler = Core; Acceptor = Core })
          test "a network that drops everything is noticed" {
              let struct (failures, _) =
                  run
                      (Time.seconds 300)
                      { calm with
                          Scenario =
                              { calm.Scenario with
                                  BA = { Path.perfect with Cuts = [ { From = 0L<us>; Until = Time.never } ] } } }

              Expect.isNonEmpty failures "failures"
          }
          test "go-back-N sends eight packets per round trip, and stop-and-wait an eighth of that" {
              let took window =
                  let oracle = Oracle(window, false)

                  let flow = { Scenario.flow 0 with Dialler = Scenario.plan (1300 * 400); Acceptor = Scenario.plan 0 }

                  let scenario = { calm.Scenario with Flows = [ flow ] }

                  let struct (failures, took) =
                      run (Time.seconds 100) { calm with Dialler = oracle; Scenario = scenario }

                  Expect.isEmpty failures "failures"
                  int64 took / 20_000L

              // 400 packets over a round trip of 20 ms, and a few round trips for the handshake and the end. The core may delay
              // the acknowledgement of a packet that stays alone by 25 ms.
              let slow = took 1
              let fast = took 8
              Expect.isTrue (fast >= 50L && fast < 60L) $"{fast} round trips with a window of eight"
              Expect.isTrue (slow >= 400L && slow < 950L) $"{slow} round trips with a window of one"
          } ]
