/// CUBIC: RFC 9438, and the slow start of RFC 9406.
module UtpPunch.Protocol.Tests.CubicTests

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.AckClock

let private ms = Time.milliseconds

let private fresh roundTrip = flow CongestionControls.cubic roundTrip

/// A window of that many packets when its first packet is lost, at the end of recovery.
let private cutAt packets roundTrip =
    let mutable it = fresh roundTrip

    while it.Packets < float packets do
        it <- ackedOf it.Window (min 1_000 (1 + packets - int it.Packets)) id it

    it <- lost 1 true it

    while it.Controller.Phase = "recovery" do
        it <- { it with Now = it.Now + it.RoundTrip * 2L * int64 packet / int64 (max packet it.Window) }
        it <- ackedOf it.Window 2 id it

    it

let private within share (expected: float) (value: float) what =
    Expect.isLessThan (abs (value - expected)) (share * expected) $"{what}: {value}, not {expected}"

let private starts =
    [ test "it starts with ten packets, and doubles each round trip" {
          let it = fresh (ms 100)
          Expect.equal it.Window (10 * packet) "the first window (RFC 6928)"
          Expect.equal (round it).Window (20 * packet) "after a round trip"
          Expect.equal (rounds 4 it).Window (160 * packet) "after four"
          Expect.equal it.Controller.Phase "slow-start" "the phase"
      }
      test "a delay that grows slows the start to a quarter for five round trips, then ends it (RFC 9406)" {
          let calm = roundWith (queueing 0L<us>)
          let mutable it = rounds 2 (fresh (ms 100)) |> calm |> calm
          Expect.equal it.Packets 160.0 "four doublings"
          it <- it |> ackedOf it.Window 2 (queueing (ms 20)) |> roundWith (queueing (ms 20))
          Expect.equal it.Controller.Phase "conservative-start" "the phase"

          for index in 1..3 do
              let before = it.Packets
              it <- roundWith (queueing (ms 20)) it
              within 0.02 (1.25 * before) it.Packets $"growth in round {index}"

          it <- roundWith (queueing (ms 20)) it
          it <- roundWith (queueing (ms 20)) it
          Expect.equal it.Controller.Phase "avoidance" "then it has ended"
      }
      test "a queue that is gone again was one of others: the window doubles again (RFC 9406, 4.2)" {
          let mutable it = rounds 3 (fresh (ms 100)) |> roundWith (queueing 0L<us>) |> roundWith (queueing 0L<us>)
          it <- roundWith (queueing (ms 20)) it
          it <- roundWith (queueing (ms 1)) it
          Expect.equal it.Controller.Phase "slow-start" "the phase"
          let before = it.Packets
          within 0.02 (2.0 * before) (roundWith (queueing (ms 1)) it).Packets "growth"
      }
      test "delays that differ by less than four milliseconds do not end it" {
          let mutable it = roundWith (queueing 0L<us>) (fresh (ms 20))

          for index in 1..5 do
              it <- roundWith (queueing (Time.microseconds (3_900L * int64 (index % 2)))) it

          Expect.equal it.Window (640 * packet) "six doublings"
      }
      test "without delays of the peer, round trips end it" {
          let longer (sample: CongestionSample) = { sample with RoundTrip = sample.RoundTrip + ms 20 }
          let it = rounds 4 (fresh (ms 100)) |> roundWith longer |> roundWith longer
          Expect.equal it.Controller.Phase "conservative-start" "the phase"
      }
      test "it is paced at twice the window in a round trip, and at five quarters after the start" {
          let it = round (fresh (ms 100))
          Expect.equal it.Controller.PacingRate (int64 it.Window * 20L) "in slow start"
          Expect.equal (fresh (ms 100)).Controller.PacingRate Int64.MaxValue "before the first round trip"
          let it = cutAt 100 (ms 100)
          Expect.equal it.Controller.PacingRate (int64 it.Window * 25L / 2L) "after a loss"
      } ]

let private cuts =
    [ test "a loss costs three tenths, in proportion to what is acknowledged in the round trip" {
          let before = rounds 4 (fresh (ms 100))
          let mutable it = lost 1 true before
          Expect.equal it.Window (before.Window - packet) "at once only what was lost"
          it <- ackedOf before.Window 80 id it
          Expect.equal it.Window (before.Window - packet - 24 * packet) "after half of the round trip"
          it <- ackedOf before.Window 80 id it
          Expect.equal it.Window (before.Window * 7 / 10) "after all of it"
      }
      test "what is lost leaves the window at once, but not below seven tenths" {
          let before = rounds 4 (fresh (ms 100))
          Expect.equal (lost 20 true before).Window (before.Window - 20 * packet) "an eighth"
          Expect.equal (lost 20 true before |> lost 20 false).Window (before.Window - 40 * packet) "two eighths"
          Expect.equal (lost 20 true before |> lost 100 false).Window (before.Window * 7 / 10) "most of it"
      }
      test "further losses of a congestion event are not answered, and a later one is" {
          let it = rounds 4 (fresh (ms 100)) |> lost 1 true |> lost 1 false |> rounds 2 |> lost 1 false
          Expect.isGreaterThan it.Window (160 * packet * 7 / 10 - packet) "one cut"
          let again = it |> lost 1 true |> rounds 2
          within 0.05 (0.7 * it.Packets) again.Packets "a second one"
      }
      test "recovery ends with the acknowledgement of a packet that was sent after the loss" {
          let it = rounds 4 (fresh (ms 100)) |> lost 1 true
          Expect.equal it.Controller.Phase "recovery" "the phase"
          Expect.equal (rounds 2 it).Controller.Phase "avoidance" "the phase after it"
      }
      test "it is never less than two packets after a loss" {
          let mutable it = fresh (ms 100)

          for _ in 1..20 do
              it <- lost 1 true it |> rounds 3

          Expect.isGreaterThanOrEqual it.Window (2 * packet) "the window"
      }
      test "what was lost has arrived after all: everything is as before (RFC 9438, 4.9.2)" {
          let before = cutAt 500 (ms 100) |> rounds 10
          let cut = before |> lost 3 true |> lost 2 false |> rounds 2
          Expect.isLessThan cut.Window (before.Window * 8 / 10) "cut"
          Expect.isLessThan (spurious 4 cut).Window (before.Window * 8 / 10) "four of five"
          let undone = spurious 1 (spurious 4 cut)
          Expect.equal undone.Window before.Window "all five"
          // The curve goes on where it was; a new one would begin with a plateau.
          let growth = (rounds 10 undone).Window - undone.Window
          Expect.isGreaterThan growth (packet * 5) "growth"
      }
      test "slow start goes on after a loss that was none" {
          let before = rounds 4 (fresh (ms 100))
          let undone = before |> lost 3 true |> spurious 3
          Expect.equal undone.Controller.Phase "slow-start" "the phase"
          Expect.equal (round undone).Window (2 * undone.Window) "growth"
      } ]

/// The least time after which the window is back at a size.
let private timeTo (packets: float) (from: Flow) =
    let mutable it = from

    while it.Packets < packets && it.Now - from.Now < Time.seconds 200 do
        it <- round it

    float (it.Now - from.Now) / 1e6

let private curves =
    [ test "the window is back after K = cbrt(W × 0.3 / 0.4) seconds (RFC 9438, 4.2)" {
          for packets, roundTrip in [ 500, ms 100; 2_000, ms 100; 10_000, ms 200 ] do
              let it = cutAt packets roundTrip
              within 0.01 (0.7 * float packets) it.Packets "after the loss"
              let k = Math.Cbrt(float packets * 0.3 / 0.4)
              // The curve is flat there: the time to 99 % is that of an offset of cbrt(0.01 W / 0.4) before K.
              let expected = k - Math.Cbrt(0.01 * float packets / 0.4)
              within 0.05 expected (timeTo (0.99 * float packets) it) $"seconds to 99 %% of {packets} packets"
      }
      test
          "on short paths it grows as Reno would: 9/17 of a packet in a round trip, and a whole one above the old window" {
          let it = cutAt 60 (ms 10)
          let mutable after = it

          for _ in 1..10 do
              after <- round after

          within 0.1 (10.0 * 9.0 / 17.0) (after.Packets - it.Packets) "packets in ten round trips"

          while after.Packets < 62.0 do
              after <- round after

          let before = after.Packets
          within 0.1 10.0 ((rounds 10 after).Packets - before) "packets in ten more"
      }
      test "a flow whose window was already smaller than at the loss before leaves more to others (RFC 9438, 4.7)" {
          let first = cutAt 1_000 (ms 100)
          let second = first |> rounds 5 |> lost 1 true |> rounds 2
          // Its plateau is at 0.85 of the window of the second loss, not at all of it.
          let plateau = 0.85 * (rounds 5 first).Packets
          let k = Math.Cbrt((plateau - second.Packets) / 0.4)
          within 0.05 plateau (rounds (int (k * 10.0)) second).Packets "the window after K"
      }
      test "a window that is not used does not grow, in slow start or after it, and that time does not count" {
          let unused (flow: Flow) =
              let mutable it = flow

              for _ in 1..300 do
                  it <- { it with Now = it.Now + it.RoundTrip }
                  it <- ackedOf (4 * packet) 2 id it

              it

          let start = rounds 3 (fresh (ms 100))
          Expect.equal (unused start).Window start.Window "in slow start"
          let later = cutAt 1_000 (ms 100) |> rounds 20
          let idle = unused later
          Expect.equal idle.Window later.Window "after it"
          let growth (it: Flow) = (rounds 10 it).Packets - it.Packets
          within 0.1 (growth later) (growth idle) "growth afterwards"
      }
      test "idle time does not count for the curve (RFC 9438, 5.8)" {
          let later = cutAt 1_000 (ms 100) |> rounds 20
          let now = later.Now + Time.seconds 60

          let idle = { later with Now = now; Controller = later.Controller.Restarted(now, later.RoundTrip) }

          Expect.equal idle.Window later.Window "the window"
          let growth (it: Flow) = (rounds 10 it).Packets - it.Packets
          within 0.1 (growth later) (growth idle) "growth"
      }
      test "it grows by at most half in a round trip" {
          // The curve is far above after a minute.
          let mutable it = cutAt 20 (ms 100) |> rounds 1
          it <- { it with Now = it.Now + Time.seconds 60 }
          let before = it.Packets
          Expect.isLessThan (round it).Packets (1.7 * before) "the window"
      } ]

let private timeouts =
    [ test "a time-out leaves one packet, and the window doubles to seven tenths of what was in flight" {
          let flight = 100 * packet
          let it = cutAt 200 (ms 100)
          let mutable it = { it with Controller = it.Controller.TimedOut flight }
          Expect.equal it.Window packet "one packet"
          it <- rounds 6 it
          within 0.05 64.0 it.Packets "six doublings"
          it <- rounds 3 it
          within 0.05 70.0 it.Packets "then slowly"
      }
      test "of several time-outs in a row the first one sets the threshold (RFC 5681, 3.1)" {
          let it = cutAt 200 (ms 100)
          let out flight (controller: ICongestionController) = controller.TimedOut flight
          let once = { it with Controller = it.Controller |> out (100 * packet) }
          let twice = { it with Controller = it.Controller |> out (100 * packet) |> out packet }
          Expect.equal (rounds 6 twice).Window (rounds 6 once).Window "six doublings"
      }
      test "a time-out that was none is undone" {
          let it = cutAt 200 (ms 100)
          let timedOut = { it with Controller = it.Controller.TimedOut it.Window }
          Expect.isLessThan (spurious 1 timedOut).Window (2 * packet) "one packet is no proof"
          Expect.equal (spurious 80 timedOut).Window it.Window "half of them are"
      }
      test "larger packets: at least two of them; smaller ones change nothing" {
          let window size (it: Flow) = (it.Controller.Resized size).Window
          Expect.equal (window 65_487 (fresh (ms 10))) (2 * 65_487) "two large ones"
          Expect.equal (window 1_452 (fresh (ms 10))) (10 * packet) "there was room for more"
          Expect.equal (window 528 (cutAt 100 (ms 10))) (cutAt 100 (ms 10)).Window "the bytes stay"
      }
      test "a stream that changes to it keeps its window and does not start anew" {
          let from = { Packet = packet; TargetDelay = ms 60; Window = 50 * packet; RoundTrip = ms 40 }
          let controller = CongestionControls.cubic.Start from
          Expect.equal controller.Window (50 * packet) "the window"
          Expect.equal controller.Phase "avoidance" "the phase"
          Expect.equal controller.PacingRate (int64 (50 * packet) * 1_250_000L / 40_000L) "the pacing rate"
      }
      test "cube roots are those of the integers, up to the largest" {
          let random = System.Random 7

          for _ in 1..20_000 do
              let value = random.NextInt64(0L, 1L <<< random.Next(1, 63))
              let root = CubicWindow.cubeRoot value

              let isAbove root =
                  Numerics.BigInteger.Pow(Numerics.BigInteger(root: int64), 3) > Numerics.BigInteger value

              Expect.isFalse (isAbove root) $"root of {value}"
              Expect.isTrue (isAbove (root + 1L)) $"root of {value}"

          Expect.equal (CubicWindow.cubeRoot 9_000_000_000_000_000_000L) 2_080_083L "nine quintillions"
      } ]

/// Any numbers, also such as no path gives.
let hostile (control: CongestionControl) =
    test $"{control.Name}: any numbers give no exception, and at least a packet of window" {
        let random = System.Random 11
        let number () = random.Next() >>> random.Next 31
        let long () = random.NextInt64() >>> random.Next 63
        let time () = Time.microseconds (random.NextInt64(0L, 1L <<< random.Next(1, 46)))
        let flag () = random.Next 2 = 0

        for life in 1..200 do
            let start = { Packet = packet; TargetDelay = time (); Window = number () / 2; RoundTrip = time () }
            let mutable it = control.Start { start with TargetDelay = max (ms 1) start.TargetDelay }
            let mutable size = packet

            for _ in 1..200 do
                match random.Next 10 with
                | 0 -> it <- it.TimedOut(number ())
                | 1 ->
                    size <- 1 + random.Next 65_000
                    it <- it.Resized size
                | 2 -> it <- it.Restarted(time (), time ())
                | _ ->
                    let lost = if flag () then number () else 0

                    let sample =
                        { nothing with
                            Now = time ()
                            Bytes = if flag () then number () else random.Next 5_000
                            Packets = random.Next 1_000
                            LostBytes = lost
                            LostPackets = min lost 1_000
                            LostRanges = min lost 10
                            IsFirstLoss = flag ()
                            SpuriousPackets = if flag () then random.Next 100 else 0
                            FlightBefore = number ()
                            Flight = number ()
                            Delivered = long ()
                            PriorDelivered = long ()
                            DeliveryRate = long ()
                            IsAppLimited = flag ()
                            SentFlight = number ()
                            LostSince = number ()
                            RoundTrip = time ()
                            Smoothed = time ()
                            Least = time ()
                            HasQueueing = flag ()
                            Queueing = time ()
                            IsQueueEmpty = flag ()
                            IsRttInflated = flag ()
                            IsWindowLimited = flag ()
                            IsPeerLimited = flag ()
                            HasSack = flag ()
                            Salt = uint32 (number ()) }

                    it <- it.Observe &sample

                Expect.isGreaterThanOrEqual it.Window size $"the window in life {life}"
                Expect.isGreaterThan it.PacingRate 0L "the pacing rate"
                Expect.isNotEmpty it.Phase "the phase"
    }

let tests = testList "cubic" (starts @ cuts @ curves @ timeouts @ [ hostile CongestionControls.cubic ])
