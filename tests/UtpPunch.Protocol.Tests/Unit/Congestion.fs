/// Unit tests of delays and round trips.
module UtpPunch.Protocol.Tests.Congestion

open System
open Expecto
open UtpPunch.Protocol

let private observe (atMs: int) (sample: uint32) delay = ValueSome(Delay.observe (Time.milliseconds atMs) sample delay)

let private queueing (delay: Delay voption) = int64 (Delay.queueing delay.Value)

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

let tests = testList "congestion" (delays @ roundTrips)
