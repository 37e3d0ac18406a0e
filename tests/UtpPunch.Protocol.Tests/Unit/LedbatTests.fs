/// Unit tests of LEDBAT++.
module UtpPunch.Protocol.Tests.LedbatTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.AckClock

let private ms (value: int) = Time.milliseconds value

let private fresh roundTrip = flow CongestionControls.ledbat roundTrip

/// A round trip with that much queueing delay.
let private roundAt delay = roundWith (queueing delay)

let private roundsAt delay count (it: Flow) = Seq.fold (fun it _ -> roundAt delay it) it (seq { 1..count })

let private timedOut flight (it: Flow) = { it with Controller = it.Controller.TimedOut flight }

/// Past the first slow start, which a loss has ended, with that many packets.
let private avoidingOver roundTrip packets =
    let mutable it = fresh roundTrip

    while it.Packets < 2.0 * float packets do
        it <- ackedOf it.Window 2 (queueing 0L<us>) it

    lost 1 true it

/// In a path so long that GAIN is 1.
let private avoiding packets = avoidingOver (ms 200) packets

let private isNear part expected (actual: float) what =
    Expect.isLessThan (abs (actual - expected)) (part * expected) $"{what}: {actual}, not {expected}"

let private growth =
    [ test "it starts with ten packets, and grows by GAIN: in doubling, or on short paths less" {
          Expect.equal (fresh (ms 200)).Window (10 * packet) "the first window (RFC 6928)"
          isNear 0.01 20.0 (roundAt 0L<us> (fresh (ms 200))).Packets "a round trip of 200 ms: 1"
          isNear 0.06 (10.0 * 1.333) (roundAt 0L<us> (fresh (ms 40))).Packets "of 40 ms: a third"
          isNear 0.06 (10.0 * 1.0625) (roundAt 0L<us> (fresh (ms 2))).Packets "of 2 ms: a sixteenth, not less"
      }
      test "three quarters of the target end the first slow start, with what the path holds then" {
          let it = roundsAt 0L<us> 4 (fresh (ms 200))
          // 160 packets in flight, of which 100 were delivered in a round trip of 200 ms: with the target, 130 fit.
          let full sample = { queueing (ms 45) sample with DeliveryRate = int64 (100 * packet) * 5L }

          let left = ackedOf it.Window 2 full it
          Expect.equal left.Controller.Phase "avoidance" "the phase"
          isNear 0.01 130.0 left.Packets "the window"
      }
      test "the delays of the larger window do not reduce it further" {
          let full sample = { queueing (ms 100) sample with DeliveryRate = int64 (100 * packet) * 5L }

          let it = roundsAt 0L<us> 4 (fresh (ms 200))
          let left = ackedOf it.Window 2 full it
          Expect.isGreaterThanOrEqual (roundAt (ms 100) left).Window left.Window "a round trip later"
      }
      test "a queue that begins slows the first slow start down" {
          let it = roundsAt 0L<us> 2 (fresh (ms 200))
          isNear 0.05 (1.25 * it.Packets) (roundAt (ms 20) it).Packets "a quarter of the growth"
      }
      test "while packets wait in the peer's socket, the first slow start grows slowly; afterwards it continues" {
          let held sample = { queueing 0L<us> sample with IsRttInflated = true }
          let start = roundAt 0L<us> (fresh (ms 200))
          let waiting = roundWith held start
          isNear 0.2 1.0 (waiting.Packets - start.Packets) "growth in a round trip"
          isNear 0.05 (2.0 * waiting.Packets) (roundAt 0L<us> waiting).Packets "then doubled again"
      }
      test "without a queue it grows by one packet a round trip, and faster the longer there is none" {
          for packets in [ 20; 200; 3_000; 50_000 ] do
              let it = avoiding packets
              let growth = (roundAt 0L<us> it).Packets - it.Packets
              isNear 0.05 1.0 growth $"growth at {packets} packets"

          let growthAfter count =
              let it = roundsAt 0L<us> count (avoiding 2_000)
              (roundAt 0L<us> it).Packets - it.Packets

          isNear 0.1 1.0 (growthAfter 8) "after eight round trips"
          isNear 0.1 2.0 (growthAfter 16) "after sixteen"
      }
      test "at the target it hardly grows, above it shrinks, more so the further above, by half at most" {
          let after delay =
              // A delay that has not lasted for a round trip is no queue.
              let it = roundAt delay (avoiding 100)
              (roundAt delay it).Packets - it.Packets + 100.0

          isNear 0.02 101.0 (after (ms 60)) "at the target"
          isNear 0.005 (100.0 * 0.985 + 1.0) (after (Time.microseconds 60_900L)) "less than a millisecond above"
          isNear 0.03 (100.0 * 0.9 + 1.0) (after (ms 66)) "a tenth above"
          isNear 0.05 (100.0 * 0.5 + 1.0) (after (ms 90)) "half above"
          Expect.equal (after (ms 5_000)) (after (ms 90)) "far above"
      }
      test "a pause of the link is no queue: delays that last for less than a round trip reduce nothing" {
          let mutable it = roundAt 0L<us> (avoiding 100)
          let before = it.Window

          for delay in [ 100; 80; 60; 40; 20; 0 ] do
              it <- ackedOf it.Window 10 (queueing (ms delay)) it

          Expect.isGreaterThanOrEqual it.Window before "the window"
      }
      test "two packets are left by any delay, and the window is never less than one" {
          Expect.equal (roundsAt (ms 2_000) 50 (avoiding 100)).Window (2 * packet) "by delay"

          Expect.equal
              (roundsAt (ms 2_000) 50 (avoidingOver (ms 2) 100)).Window
              (2 * packet)
              "where GAIN is a sixteenth"

          let random = System.Random 5
          let mutable it = fresh (ms 40)

          for _ in 1..2_000 do
              it <-
                  match random.Next 4 with
                  | 0 -> lost 1 true it
                  | 1 -> timedOut it.Window it
                  | _ -> ackedOf it.Window (random.Next 100) (queueing (ms (random.Next 3_000))) it

              Expect.isGreaterThanOrEqual it.Window packet "the window"
      }
      test "a window that is not used does not grow" {
          let mutable slow = fresh (ms 200)
          let mutable slower = avoiding 50
          let before = slower.Window

          for _ in 1..1_000 do
              slow <- ackedOf (2 * packet) 1 (queueing 0L<us>) slow
              slower <- ackedOf (2 * packet) 1 (queueing 0L<us>) slower

          Expect.equal slow.Window (10 * packet) "in slow start"
          Expect.equal slower.Window before "in congestion avoidance"
      }
      test "without delay samples it grows as Reno does, and never slows down" {
          let it = avoiding 50
          isNear 0.05 (it.Packets + 1.0) (round it).Packets "growth"
          let mutable it = it

          for _ in 1..200 do
              it <- round it
              Expect.equal it.Controller.Phase "avoidance" "the phase"
      } ]

let private losses =
    [ test "a loss halves it, and a time-out leaves one packet" {
          let it = roundsAt 0L<us> 2 (fresh (ms 200))
          Expect.equal (lost 1 true it).Window (it.Window / 2) "a loss"
          Expect.equal (timedOut it.Window it).Window packet "a time-out"
      }
      test
          "after a time-out it starts slowly, up to half of what was in flight; of several in a row the first one counts" {
          let flight = 100 * packet
          let it = timedOut flight (avoiding 100)
          isNear 0.1 32.0 (roundsAt 0L<us> 5 it).Packets "five doublings"
          isNear 0.1 52.0 (roundsAt 0L<us> 7 it).Packets "then slowly"
          let twice = timedOut packet it
          Expect.equal (roundsAt 0L<us> 5 twice).Window (roundsAt 0L<us> 5 it).Window "the second one"
      }
      test "what a loss has taken is taken back as in slow start when the path is free, nearly up to where it was" {
          let full = roundsAt (ms 50) 2 (avoiding 100)
          let cut = lost 1 true full
          let later = roundsAt 0L<us> 12 cut
          isNear 0.1 (full.Packets * 7.0 / 8.0) later.Packets "after twelve round trips"
      }
      test "the same after other traffic that made a long queue" {
          let full = roundsAt (ms 50) 2 (avoiding 100)
          let yielded = roundsAt (ms 150) 12 full
          Expect.isLessThan yielded.Packets 5.0 "what is left"
          isNear 0.1 full.Packets (roundsAt 0L<us> 18 yielded).Packets "when it has gone"
      }
      test "the window is at least two packets of a new, larger size; smaller sizes change nothing" {
          let window size (it: Flow) = (it.Controller.Resized size).Window
          Expect.equal (window 65_487 (fresh (ms 10))) (2 * 65_487) "two large ones"
          Expect.equal (window 1_452 (fresh (ms 10))) (10 * packet) "there was room for more"
          Expect.equal (window 528 (fresh (ms 10))) (10 * packet) "the bytes stay"
      }
      test "what was granted for larger packets is taken back with them, with a loss and with a time-out" {
          let it = fresh (ms 10)
          let large = { it with Controller = it.Controller.Resized 65_487 }
          Expect.equal (large.Controller.Resized 1_180).Window (10 * packet) "smaller again"
          Expect.equal (timedOut 1_000_000 large).Window 65_487 "one packet after a time-out"

          Expect.equal
              ((timedOut 1_000_000 large).Controller.Resized 1_180).Window
              1_180
              "one packet of the smaller size"

          Expect.equal (lost 1 true large).Window (2 * 65_487) "two after a loss"
      } ]

/// Rounds at the target until the phase is another one, and how many they were.
let private until phase (it: Flow) =
    let mutable it = roundAt (ms 60) it
    let mutable count = 1

    while it.Controller.Phase <> phase && count < 10_000 do
        it <- roundAt (ms 60) it
        count <- count + 1

    struct (it, count)

let private slowdowns =
    [ test "two round trips after the first slow start: two packets for two round trips, then the window of before" {
          let full = ackedOf (10 * packet) 2 (queueing (ms 50)) (roundsAt 0L<us> 4 (fresh (ms 200)))
          let struct (slow, count) = until "slowdown" full
          Expect.isTrue (count = 2 || count = 3) $"round trips until then: {count}"
          Expect.equal slow.Window (2 * packet) "the window"
          Expect.equal (roundAt 0L<us> slow).Window (2 * packet) "a round trip later"
          let back = roundsAt 0L<us> 12 slow
          Expect.equal back.Controller.Phase "avoidance" "later"
          isNear 0.1 full.Packets back.Packets "the window"
      }
      test "then one for twice nine times as long as it took, while the window is kept" {
          let full = ackedOf (10 * packet) 2 (queueing (ms 50)) (roundsAt 0L<us> 4 (fresh (ms 200)))
          let struct (first, _) = until "slowdown" full
          let mutable it = first
          let mutable took = 0

          let gaps =
              [ for _ in 1..5 do
                    took <- 0

                    while it.Controller.Phase = "slowdown" do
                        it <- roundAt 0L<us> it
                        took <- took + 1

                    let struct (next, count) = until "slowdown" it
                    it <- next
                    float count / float took ]

          for gap in gaps do
              isNear 0.25 18.0 gap "time between two, in slowdowns"
      }
      test "a loss does not start one, and a window that is not in use needs none" {
          let mutable it = lost 1 true (roundsAt 0L<us> 4 (fresh (ms 200)))

          for _ in 1..15 do
              it <- roundAt (ms 20) it
              Expect.equal it.Controller.Phase "avoidance" "after a loss"

          for _ in 1..2_000 do
              it <- { it with Now = it.Now + ms 100 }
              it <- ackedOf (2 * packet) 1 (queueing 0L<us>) it
              Expect.equal it.Controller.Phase "avoidance" "little is sent"
      }
      test
          "a stream slows down also where a time-out has ended the first slow start, or where it has changed to LEDBAT++" {
          let out = timedOut (100 * packet) (roundsAt 0L<us> 4 (fresh (ms 200)))
          let struct (slow, _) = until "slowdown" (roundsAt 0L<us> 10 out)
          Expect.equal slow.Controller.Phase "slowdown" "after a time-out"
          let from = { Packet = packet; TargetDelay = ms 60; Window = 50 * packet; RoundTrip = ms 200 }
          let changed = { fresh (ms 200) with Controller = CongestionControls.ledbat.Start from }
          let struct (slow, _) = until "slowdown" changed
          Expect.equal slow.Controller.Phase "slowdown" "after a change"
      }
      test "a time-out in a slowdown leaves half of the window of before" {
          let full = ackedOf (10 * packet) 2 (queueing (ms 50)) (roundsAt 0L<us> 4 (fresh (ms 200)))
          let struct (slow, _) = until "slowdown" full
          let out = roundsAt 0L<us> 7 (timedOut slow.Window slow)
          isNear 0.15 (full.Packets / 2.0) out.Packets "the window"
          Expect.equal out.Controller.Phase "avoidance" "the phase"
      }
      test "a stream that changes to it keeps its window and does not start anew" {
          let from = { Packet = packet; TargetDelay = ms 60; Window = 50 * packet; RoundTrip = ms 40 }
          let controller = CongestionControls.ledbat.Start from
          Expect.equal controller.Window (50 * packet) "the window"
          Expect.equal controller.Phase "avoidance" "the phase"
      } ]

let tests = testList "LEDBAT++" (growth @ losses @ slowdowns)
