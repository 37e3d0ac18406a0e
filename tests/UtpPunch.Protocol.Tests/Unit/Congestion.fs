/// Unit tests of delay, round trips and LEDBAT. The comparison with RFC 6817 in floating point is `UtpPunch.Sim.Tests/ControllerOracle.fs`.
module UtpPunch.Protocol.Tests.Congestion

open System
open Expecto
open UtpPunch.Protocol

let private packet = 1380
let private target = Time.milliseconds 100

let private fresh () =
    CongestionControls.ledbat.Start { Packet = packet; TargetDelay = target; Window = 0; RoundTrip = 0L<us> }

let private nothing = Unchecked.defaultof<CongestionSample>

let private observed (sample: CongestionSample) (congestion: ICongestionController) = congestion.Observe &sample

let private acked bytes flight queueingMs congestion =
    observed
        { nothing with
            Bytes = bytes
            Packets = 1
            FlightBefore = flight
            HasQueueing = true
            Queueing = Time.milliseconds queueingMs }
        congestion

let private lost congestion = observed { nothing with IsFirstLoss = true } congestion

/// A round trip's worth of acknowledgements, two packets each, with the window in use.
let private roundTrip queueingMs (congestion: ICongestionController) =
    let mutable congestion = congestion
    let window = congestion.Window
    let mutable left = window

    while left > 0 do
        let bytes = min left (2 * packet)
        congestion <- acked bytes congestion.Window queueingMs congestion
        left <- left - bytes

    congestion

/// Past slow start.
let private avoiding window =
    let mutable congestion = fresh ()

    while congestion.Window < 2 * window do
        congestion <- acked congestion.Window congestion.Window 0 congestion

    while congestion.Window > 2 * window do
        congestion <- acked packet congestion.Window 1_000 congestion

    lost congestion

let private ledbat =
    [ test "it starts with ten packets and doubles each round trip" {
          let congestion = fresh ()
          Expect.equal congestion.Window (10 * packet) "the first window (RFC 6928)"
          Expect.equal (roundTrip 0 congestion).Window (20 * packet) "after one round trip"
      }
      test "a loss halves it, and a time-out leaves one packet" {
          let congestion = roundTrip 0 (roundTrip 0 (fresh ()))
          Expect.equal (lost congestion).Window (congestion.Window / 2) "a loss"
          Expect.equal (congestion.TimedOut congestion.Window).Window packet "a time-out"
      }
      test "it is never less than a packet" {
          let mutable congestion = fresh ()
          let random = System.Random 5

          for _ in 1..2_000 do
              congestion <-
                  match random.Next 4 with
                  | 0 -> lost congestion
                  | 1 -> congestion.TimedOut congestion.Window
                  | _ -> acked (random.Next 100_000) congestion.Window 10_000 congestion

              Expect.isGreaterThanOrEqual congestion.Window packet "the window"
      }
      test "after a time-out it starts slowly, up to half of what was in flight" {
          let flight = 100 * packet
          let mutable congestion = (avoiding flight).TimedOut flight
          Expect.equal congestion.Window packet "the window"

          for _ in 1..5 do
              congestion <- roundTrip 0 congestion

          Expect.equal congestion.Window (32 * packet) "five doublings"

          for _ in 1..3 do
              congestion <- roundTrip 0 congestion

          Expect.isLessThan congestion.Window (60 * packet) "then one packet a round trip"
      }
      test "of several time-outs in a row only the first one sets the threshold (RFC 5681, 3.1)" {
          let flight = 100 * packet
          let mutable congestion = ((avoiding flight).TimedOut flight).TimedOut packet

          for _ in 1..5 do
              congestion <- roundTrip 0 congestion

          Expect.equal congestion.Window (32 * packet) "five doublings"
      }
      test "the first delay near the target ends slow start" {
          let congestion = acked (2 * packet) (10 * packet) 95 (roundTrip 0 (fresh ()))
          let before = congestion.Window
          Expect.isLessThanOrEqual ((roundTrip 0 congestion).Window - before) packet "growth in the next round trip"
      }
      test "while packets wait in the peer's socket, the first slow start grows slowly; afterwards it continues" {
          let held bytes (congestion: ICongestionController) =
              observed
                  { nothing with
                      Bytes = bytes
                      Packets = 1
                      FlightBefore = congestion.Window
                      HasQueueing = true
                      IsRttInflated = true }
                  congestion

          let start = roundTrip 0 (fresh ())
          let waiting = held start.Window start
          Expect.equal (waiting.Window - start.Window) packet "growth in a round trip"
          Expect.equal (roundTrip 0 waiting).Window (2 * waiting.Window) "then doubled again"
          let recovering = (avoiding (100 * packet)).TimedOut(100 * packet)
          Expect.equal (held packet recovering).Window (2 * packet) "after a time-out it doubles again"
      }
      test "without a queue it grows by one packet a round trip" {
          for packets in [ 4; 20; 200; 2_000 ] do
              let congestion = avoiding (packets * packet)
              let growth = (roundTrip 0 congestion).Window - congestion.Window
              Expect.isLessThanOrEqual growth packet $"growth at {packets} packets"
              Expect.isGreaterThan growth (packet * 8 / 10) $"growth at {packets} packets"
      }
      test "at the target it stands still, above it shrinks, more so the further above" {
          let congestion = avoiding (50 * packet)
          let change queueingMs = (roundTrip queueingMs congestion).Window - congestion.Window
          Expect.equal (change 100) 0 "at the target"
          Expect.isGreaterThan (change 50) (packet * 4 / 10) "halfway"
          Expect.isLessThan (change 50) (packet * 6 / 10) "halfway"
          Expect.isLessThan (change 150) (-packet * 4 / 10) "half above"
          Expect.isLessThan (change 300) (change 150) "twice above"
          // Ten packets, and the decrease of the window meanwhile.
          Expect.isGreaterThan (change 5_000) (-12 * packet) "the steepest fall"
      }
      test "a window that is not used does not grow" {
          let mutable slow = fresh ()
          let mutable avoiding = avoiding (50 * packet)

          for _ in 1..1_000 do
              slow <- acked packet (2 * packet) 0 slow
              avoiding <- acked packet (2 * packet) 0 avoiding

          Expect.equal slow.Window (10 * packet) "in slow start"
          Expect.isLessThanOrEqual avoiding.Window (51 * packet) "in congestion avoidance"
      }
      test "without delay samples it grows as Reno does" {
          let congestion = avoiding (50 * packet)

          let grown =
              observed
                  { nothing with Bytes = congestion.Window; Packets = 1; FlightBefore = congestion.Window }
                  congestion

          Expect.equal (grown.Window - congestion.Window) packet "growth"
      } ]

let private observe (atMs: int) (sample: uint32) delay = ValueSome(Delay.observe (Time.milliseconds atMs) sample delay)

let private queueing (delay: Delay voption) = int64 (Delay.queueing delay.Value)

let private resized =
    [ test "the window is at least two packets of a new, larger size; smaller sizes change nothing" {
          let window size (congestion: ICongestionController) = (congestion.Resized size).Window
          Expect.equal (window 65_487 (fresh ())) (2 * 65_487) "two large ones"
          Expect.equal (window 1_452 (fresh ())) (10 * packet) "there was room for more"
          Expect.equal (window 528 (fresh ())) (10 * packet) "the bytes stay"
      }
      test "what was granted for larger packets is taken back with them, with a loss and with a time-out" {
          let large = (fresh ()).Resized 65_487
          Expect.equal (large.Resized 1_180).Window (10 * packet) "smaller again"
          Expect.equal (large.TimedOut 1_000_000).Window 65_487 "one packet after a time-out"
          Expect.equal ((large.TimedOut 1_000_000).Resized 1_180).Window packet "one packet of the smaller size"
          Expect.equal (lost large).Window (2 * 65_487) "two after a loss"
          Expect.isLessThan (acked 65_487 131_000 1_000 large).Window (2 * 65_487) "a long queue reduces it"
      } ]

let private delays =
    [ test "the queueing delay is the least of the last four samples less the least of all" {
          let mutable delay = ValueNone
          let samples = [ 5_000u; 4_000u; 9_000u; 9_500u; 9_200u; 9_100u; 30_000u ]

          for index, sample in List.indexed samples do
              delay <- observe index sample delay

          Expect.equal (queueing delay) 5_100L "one high sample does not count"
      }
      test "any offset of the clocks gives the same result, across the wrap of 32 bits" {
          let random = System.Random 3
          let samples = [ for _ in 1..500 -> uint32 (random.Next 200_000) ]

          let run (offset: uint32) =
              let mutable delay = ValueNone

              [ for index, sample in List.indexed samples do
                    delay <- observe (index * 500) (sample + offset) delay
                    queueing delay ]

          for offset in [ 1u; 0x7FFFFFF0u; 0x80000000u; 0xFFFF0000u; 0xFFFFFFFFu ] do
              Expect.equal (run offset) (run 0u) $"offset {offset}"
      }
      test "a base delay expires after ten minutes, and not before" {
          let mutable delay = observe 0 10_000u ValueNone

          for second in 1..900 do
              delay <- observe (second * 1_000) 50_000u delay

              let expected =
                  if second < 540 then ValueSome 40_000L
                  elif second > 660 then ValueSome 0L
                  else ValueNone

              // The first seconds are smoothed by the last four samples.
              match expected with
              | ValueSome expected when second > 4 -> Expect.equal (queueing delay) expected $"after {second} s"
              | _ -> ()
      }
      test "the queueing delay equals the reference model's: the least of the last ten minutes, minute by minute" {
          for seed in 1..10 do
              let random = System.Random seed
              let mutable delay = ValueNone
              let seen = ResizeArray<struct (int * int64)>()
              let mutable at = 0

              for _ in 1..2_000 do
                  at <- at + random.Next 2_000
                  let sample = int64 (random.Next 100_000) + int64 (at / 100)
                  seen.Add(struct (at, sample))
                  delay <- observe at (uint32 sample) delay

                  let current =
                      Seq.min (Seq.map (fun (struct (_, sample)) -> sample) (Seq.skip (max 0 (seen.Count - 4)) seen))

                  let since age =
                      seen
                      |> Seq.filter (fun (struct (when', _)) -> when' > at - age)
                      |> Seq.map (fun (struct (_, sample)) -> sample)
                      |> Seq.min

                  // The reference does not know where minutes begin; nine whole ones are remembered for certain, and none older than ten
                  // plus the length of a minute without a sample.
                  Expect.isLessThanOrEqual (queueing delay) (current - since 660_000) "against the longest memory"
                  Expect.isGreaterThanOrEqual (queueing delay) (current - since 535_000) "against the shortest memory"
      }
      test "a clock drift that the other direction shows raises the base delay by as much" {
          let delay = observe 1_000 30_000u (observe 0 10_000u ValueNone)
          let delay = observe 4 30_000u (observe 3 30_000u (observe 2 30_000u delay))
          Expect.equal (queueing delay) 20_000L "before"
          Expect.equal (int64 (Delay.queueing (Delay.shift 5_000 delay.Value))) 15_000L "after"
      } ]

let private roundTrips =
    let options = StreamOptions.bep29

    [ test "the first sample sets the round trip, and half of it the variance (RFC 6298, 2.2)" {
          let rtt = Rtt.observe (Time.milliseconds 300) Rtt.none
          Expect.equal (rtt.Smoothed, rtt.Variance) (Time.milliseconds 300, Time.milliseconds 150) "smoothed, variance"
          Expect.equal (Rtt.timeout options rtt) (Time.milliseconds 900) "RTO = SRTT + 4 RTTVAR"
      }
      test "later samples move it as RFC 6298, 2.3 says, to the microsecond or two" {
          let random = System.Random 1
          let mutable rtt = Rtt.observe (Time.milliseconds 80) Rtt.none
          let mutable smoothed = 80_000.0
          let mutable variance = 40_000.0

          for _ in 1..500 do
              let sample = random.Next(50_000, 400_000)
              variance <- 0.75 * variance + 0.25 * abs (smoothed - float sample)
              smoothed <- 0.875 * smoothed + 0.125 * float sample
              rtt <- Rtt.observe (Time.microseconds (int64 sample)) rtt
              Expect.isLessThan (abs (float (int64 rtt.Smoothed) - smoothed)) 10.0 "smoothed"
              Expect.isLessThan (abs (float (int64 rtt.Variance) - variance)) 10.0 "variance"
      }
      test "the time-out is 500 ms at least, one second before any sample, and doubles up to its cap" {
          let rtt = Rtt.observe (Time.milliseconds 20) Rtt.none
          Expect.equal (Rtt.timeout options rtt) (Time.milliseconds 500) "the floor"
          Expect.equal (Rtt.timeout options Rtt.none) (Time.seconds 1) "without a sample"

          let doubled =
              [ for backoff in 0..5 -> int64 (Rtt.timeout options { rtt with Backoff = backoff }) / 1000L ]

          Expect.equal doubled [ 500L; 1_000L; 2_000L; 4_000L; 6_000L; 6_000L ] "milliseconds"
          Expect.equal (Rtt.timeout options { rtt with Backoff = 1_000_000 }) (Time.seconds 6) "any back-off"
      } ]

let tests = testList "congestion" (ledbat @ resized @ delays @ roundTrips)
