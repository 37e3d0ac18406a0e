namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Congestion.LabScenario

/// Unusual paths and hosts: C19 to C21, C28 to C32 and C34 to C37 of docs/congestion.md.
module PathScenarios =
    /// log2, rounded up, of a small positive number.
    let private doublings (value: int) = 32 - System.Numerics.BitOperations.LeadingZeroCount(uint32 (max 1 (value - 1)))

    let private c19 =
        let roundTrip = ms 100
        let product = bytesIn roundTrip 50_000

        [ for tenths, most in [ 10, 5.0; 25, 5.0; 50, 5.0; 100, 2.0 ] ->
              // From the first window of ten packets; a round trip for the handshake, and one until the first packets have been read.
              let trips = doublings (product / 14_720) + 4 + 2
              let until = 10L * roundTrip

              scenario
                  "C19"
                  $"start, 50 Mbit/s, 100 ms, queue of %g{float tenths / 100.0} bdp"
                  (solo (path roundTrip 50_000 (tenths * product / 100)) (seconds 10))
                  [ atMost Audience.All $"dropped in the first ten round trips ≤ %g{most} %%" most (fun trial ->
                        percent (Measure.dropped trial.Result.Flows[0] 0L<us> until))
                    atMost
                        Audience.All
                        $"90 %% of the rate, ms ≤ {trips} round trips"
                        (float trips * 100.0 + 100.0)
                        (timeTo 0.9 roundTrip 0L<us>) ] ]

    let private c20 =
        let product = bytesIn (ms 40) 50_000

        [ for hundredths in [ 5; 10; 25; 50 ] ->
              scenario
                  "C20"
                  $"50 Mbit/s, 40 ms, queue of %g{float hundredths / 100.0} bdp"
                  (solo (path (ms 40) 50_000 (hundredths * product / 100)) (seconds 40))
                  [ utilised Audience.Bbr 85.0 (seconds 10)
                    atMost Audience.Bbr "dropped after 10 s ≤ 3 %" 3.0 (droppedFrom (seconds 10)) ] ]

    let private c21 =
        scenario
            "C21"
            "bufferbloat, 10 Mbit/s, 40 ms, 10 s of queue"
            (solo (path (ms 40) 10_000 12_500_000) (seconds 60))
            [ atMost Audience.Bbr "queue p95 after 10 s, ms ≤ 1.25 round trips" 50.0 (queueFrom 95 (seconds 10)) ]

    let private c28 =
        [ for bucket in [ 30; 500 ] ->
              let policed =
                  path (ms 40) 10_000 0
                  |> onForward (fun path -> { path with Rate = Rate.Policed(1_250_000, 1_250 * bucket) })

              scenario
                  "C28"
                  $"policer, 10 Mbit/s, bucket of {bucket} ms, 40 ms"
                  (solo policed (seconds 60))
                  [ utilised Audience.All 85.0 (seconds 10)
                    atMost Audience.All "dropped after 10 s ≤ 5 %" 5.0 (droppedFrom (seconds 10)) ] ]

    let private c29 =
        [ for share, least in [ 5, 95.0; 10, 93.0; 20, 90.0; 30, 85.0 ] ->
              scenario
                  "C29"
                  $"50 Mbit/s, 40 ms, 1 bdp, %g{float share / 10.0} %% lost at random"
                  (solo (path (ms 40) 50_000 (bytesIn (ms 40) 50_000) |> losing share) (seconds 40))
                  // What is lost before the queue is not part of the limit.
                  [ utilised Audience.Bbr least (seconds 5) ] ]

    let private c30 =
        let wifi =
            path (ms 40) 20_000 250_000
            |> onForward (fun path -> { path with Lateness = Lateness.Medium(ms 4, ms 5, ms 100, seconds 1) })

        scenario
            "C30"
            "Wi-Fi: aggregates of 4 ms, waits of 5 ms, pauses of 100 ms; 20 Mbit/s, 40 ms"
            (solo wifi (seconds 60))
            [ utilised Audience.All 90.0 (seconds 5)
              atMost Audience.All "retransmitted without a loss ≤ 0.5 %" 0.5 (fun trial ->
                  let flow = trial.Result.Flows[0]
                  let lost = Measure.lost flow 0L<us> trial.Result.Duration * float (Array.sum flow.Offered)
                  let again = float (Measure.retransmissions flow) - lost
                  percent (max 0.0 again / float (Array.sum flow.Offered))) ]

    let private c31 =
        let thinned =
            path (ms 40) 20_000 250_000
            |> onReverse (fun path ->
                { path with
                    Rate = Rate.Constant 25_000
                    Queue = Queue.Tail 20_000
                    Lateness = Lateness.Thinned(ms 10, 8)
                    Loss = Loss.Each 200 })

        scenario
            "C31"
            "acknowledgements: one of eight, in batches of 10 ms, 20 % lost, 200 kbit/s; 20 Mbit/s, 40 ms"
            (solo thinned (seconds 60))
            [ utilised Audience.All 90.0 (seconds 5)
              atMost Audience.All "bytes of acknowledgements ≤ 2 %" 2.0 (fun trial ->
                  percent (Measure.ackShare trial.Result.Flows[0] (seconds 5) trial.Result.Duration)) ]

    let private c32 =
        [ for packets in [ 3; 30; 300 ] ->
              // A packet takes 0.6 ms.
              let by = Time.microseconds (600L * int64 packets)

              let reordering =
                  path (ms 40) 20_000 250_000 |> onForward (fun path -> { path with Reorder = 50; ReorderBy = by })

              scenario
                  "C32"
                  $"5 %% of packets late by up to {packets} others; 20 Mbit/s, 40 ms"
                  (solo reordering (seconds 40))
                  [ utilised Audience.All 90.0 (seconds 5) ] ]

    let private c34 =
        let steps = Lateness.Steps [ seconds 30, ms 100; seconds 100, 0L<us> ]
        let stepped = path (ms 40) 10_000 256_000 |> onForward (fun path -> { path with Lateness = steps })

        let rises audience limit =
            atMost
                audience
                $"90 %% after the increase, ms ≤ {limit / 1000.0} s"
                limit
                (timeToAfter (seconds 1) 0.9 (seconds 1) (seconds 30))

        scenario
            "C34"
            "base delay 20, 120 for 70 s, 20 ms; 10 Mbit/s"
            (solo stepped (seconds 130))
            [ rises Audience.Equal 12_000.0
              rises Audience.Polite 30_000.0
              atMost Audience.All "90 % after the decrease, ms ≤ 1 s" 1_000.0 (timeTo 0.9 (seconds 1) (seconds 100)) ]

    let private c35 =
        let bulk = System.Int64.MaxValue

        let setting supplies controller _ seed =
            { Bottleneck = path (ms 200) 10_000 500_000
              Flows = [ { flow "flow" controller seed with Supplies = supplies } ]
              Duration = seconds 120 }

        let criteria (from: Duration) limit =
            [ atMost Audience.All "90 % when bulk begins, ms ≤ 3 round trips" limit (timeTo 0.9 (ms 200) from)
              // The quantum of BBR at that rate, and a packet for rounding.
              atMost Audience.All "packets at once then ≤ 10" 10.0 (fun trial ->
                  float (Measure.burst trial.Result.Flows[0] from (from + seconds 1))) ]

        [ scenario
              "C35"
              "bulk after 60 s at 10 % of 10 Mbit/s, 200 ms"
              (setting [ { From = 0L<us>; Rate = 125_000L }; { From = seconds 60; Rate = bulk } ])
              // It has never seen the rate: it may double until then.
              (criteria (seconds 60) 1_500.0)
          scenario
              "C35"
              "bulk, nothing for 60 s, bulk; 10 Mbit/s, 200 ms"
              (setting
                  [ { From = 0L<us>; Rate = bulk }
                    { From = seconds 20; Rate = 0L }
                    { From = seconds 80; Rate = bulk } ])
              (criteria (seconds 80) 700.0) ]

    let private c36 =
        let steps = Rate.Steps [ 0L<us>, 625_000; seconds 20, 6_250_000; seconds 50, 625_000 ]

        let stepped = path (ms 40) 5_000 500_000 |> onForward (fun path -> { path with Rate = steps })

        scenario
            "C36"
            "5, 50 and again 5 Mbit/s; 40 ms, 500 kB"
            (solo stepped (seconds 80))
            [ atMost
                  Audience.Equal
                  "90 % after the increase, ms ≤ 12 round trips + 3 s"
                  3_480.0
                  (timeTo 0.9 (seconds 1) (seconds 20))
              atMost
                  Audience.Bbr
                  "queue at 1.5 round trips after the decrease, ms ≤ 6 s"
                  6_000.0
                  (timeToDrain (ms 60) (seconds 1) (seconds 50) (seconds 80)) ]

    let private c37 =
        [ for late in [ 1; 5; 16 ] ->
              let clock =
                  // Windows has ticks; elsewhere a loaded processor is late by chance.
                  if late = 16 then
                      { Scenario.clock with Granularity = ms 16 }
                  else
                      { Scenario.clock with Late = ms late }

              let setting controller _ seed =
                  let plain = flow "flow" controller seed
                  let host = { plain.SenderHost with Clock = clock }

                  { Bottleneck = path (ms 40) 10_000 256_000
                    Flows = [ { plain with SenderHost = host; ReceiverHost = host } ]
                    Duration = seconds 60 }

              // Ten for those that do not pace; the others a quantum of two packets, or what they missed.
              let most = max 10 (2 + 10_000 / 8 * (late + 1) / 1500)

              scenario
                  "C37"
                  $"timers late by {late} ms; 10 Mbit/s, 40 ms, 256 kB"
                  setting
                  [ utilised Audience.All 90.25 (seconds 5)
                    atMost Audience.All $"packets at once after 5 s ≤ {most}" (float most) (fun trial ->
                        float (Measure.burst trial.Result.Flows[0] (seconds 5) (seconds 60))) ] ]

    let all = c19 @ c20 @ [ c21 ] @ c28 @ c29 @ [ c30; c31 ] @ c32 @ [ c34 ] @ c35 @ [ c36 ] @ c37
