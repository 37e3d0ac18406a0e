namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Congestion.LabScenario

/// One flow alone: C1 to C5, C9, C11 to C15 and C18 of docs/congestion.md, and the paths r1 to r5.
module SoloScenarios =
    /// One-way delay in ms, rate in Mbit/s, queue in kB, loss in thousandths; and the goodput after some seconds, in Mbit/s.
    let private rows =
        let row name delay rate queue loss goals =
            let bottleneck = path (ms (2 * delay)) (rate * 1_000) (queue * 1_000) |> losing loss
            let longest = goals |> List.map fst |> List.max

            scenario
                name
                $"{delay} ms each way, {rate} Mbit/s, {queue} kB, {loss / 10} %% lost"
                (solo bottleneck (seconds longest))
                [ for until, goal in goals do
                      atLeast Audience.All $"Mbit/s in {until} s ≥ %g{goal}" goal (fun trial ->
                          Measure.goodput trial.Result.Flows[0] 0L<us> (seconds until) / 1e6) ]

        [ row "r1" 25 100 625 0 [ 10, 92.0 ]
          row "r2" 25 100 625 10 [ 10, 90.0 ]
          row "r3" 50 20 250 0 [ 10, 18.2 ]
          row "r4" 100 50 1250 20 [ 10, 42.0; 30, 45.0 ]
          // Five million packets.
          { row "r5" 100 1000 25000 0 [ 30, 850.0 ] with Runs = 3 } ]

    /// Half of the path of C1 is in many other scenarios: 10 Mbit/s, 40 ms, 256 kB.
    let private plain = path (ms 40) 10_000 256_000

    let private c1 =
        let within part (trial: Trial) value = abs (value - inMs trial.Target) <= part * inMs trial.Target

        scenario
            "C1"
            "alone, 10 Mbit/s, 40 ms, 256 kB"
            (solo plain (seconds 60))
            [ utilised Audience.All 95.0 (seconds 5)
              { For = Audience.Polite
                What = "queue p50, ms: target ± 20 %"
                Value = queueFrom 50 (seconds 5)
                Passes = within 0.2 }
              { For = Audience.Polite
                What = "queue p95, ms ≤ 1.3 targets"
                Value = queueFrom 95 (seconds 5)
                Passes = fun trial value -> value <= 1.3 * inMs trial.Target }
              atMost Audience.Polite "packets dropped: none" 0.0 drops ]

    let private grid =
        [| for rate in [ 500; 1_000; 10_000; 50_000; 100_000 ] do
               for roundTrip in [ 2; 20; 100; 300 ] do
                   for quarters in [ 2; 4; 16 ] -> struct (rate, ms roundTrip, quarters) |]

    let private c2 =
        let queueOf (struct (rate, roundTrip, quarters)) = max 4_500 (quarters * bytesIn roundTrip rate / 4)

        let setting controller case seed =
            let struct (rate, roundTrip, _) = grid[case]
            let duration = 200L * roundTrip |> max (seconds 20) |> min (seconds 60)
            solo (path roundTrip rate (queueOf grid[case])) duration controller case seed

        let fromHalf value (trial: Trial) = value (trial.Result.Duration / 2L / Measure.bucket * Measure.bucket) trial

        let isDeep (trial: Trial) =
            let struct (rate, _, _) = grid[trial.Case]
            queueOf grid[trial.Case] >= bytesIn trial.Target rate

        { scenario
              "C2"
              "alone, {0.5 1 10 50 100} Mbit/s × {2 20 100 300} ms × queues of {½ 1 4} bdp"
              setting
              [ { For = Audience.All
                  What = "utilisation in the second half ≥ 95 %; if the queue is shorter than the target ≥ 85 %"
                  Value = fromHalf usedFrom
                  Passes = fun trial value -> value >= (if isDeep trial then 95.0 else 85.0) }
                atMost Audience.All "dropped in the second half ≤ 2 %" 2.0 (fromHalf droppedFrom) ] with
            Cases = grid.Length }

    let private c3 =
        scenario
            "C3"
            "bufferbloat, 400 kbit/s, 40 ms, 10 s of queue"
            (solo (path (ms 40) 400 500_000) (seconds 60))
            [ atMost Audience.Polite "queue p95 after 5 s, ms ≤ 150" 150.0 (queueFrom 95 (seconds 5))
              atMost Audience.Polite "packets dropped: none" 0.0 drops
              atMost Audience.All "time-outs: none" 0.0 timeouts ]

    let private c4 =
        let straw = path (ms 40) 400 0 |> onForward (fun path -> { path with Queue = Queue.TailPackets 2 })

        scenario
            "C4"
            "a straw, 400 kbit/s, 40 ms, one packet of queue"
            (solo straw (seconds 60))
            [ utilised Audience.All 50.0 (seconds 5); atMost Audience.All "time-outs ≤ 32" 32.0 timeouts ]

    let private c5 =
        let steps = Rate.Steps [ 0L<us>, 1_250_000; seconds 20, 500_000; seconds 50, 1_250_000 ]
        let stepped = plain |> onForward (fun path -> { path with Rate = steps })
        // Round trips with the target in the queue.
        let trips count (trial: Trial) = count * (40.0 + inMs trial.Target)

        scenario
            "C5"
            "10, 4 and again 10 Mbit/s"
            (solo stepped (seconds 90))
            [ { For = Audience.Polite
                What = "queue at 1.3 targets after the decrease, ms ≤ 10 round trips"
                Value = fun trial -> timeToDrain (trial.Target * 13L / 10L) (seconds 1) (seconds 20) (seconds 50) trial
                Passes = fun trial value -> value <= trips 10.0 trial }
              { For = Audience.All
                What = "90 % after the increase, ms ≤ 100 round trips"
                Value = timeTo 0.9 (seconds 1) (seconds 50)
                Passes = fun trial value -> value <= trips 100.0 trial } ]

    let private c9 =
        [ for share in [ 1; 10; 30; 50 ] ->
              // Mathis, Semke, Mahdavi and Ott 1997: what Reno gets.
              let reno = 1452.0 * 8.0 / 0.04 * 1.22 / sqrt (float share / 1000.0)
              let limit = 20e6 * Measure.efficiency
              let goal = 0.9 * min reno limit / 1e6

              scenario
                  "C9"
                  $"alone, 20 Mbit/s, 40 ms, 200 kB, %g{float share / 10.0} %% lost"
                  (solo (path (ms 40) 20_000 200_000 |> losing share) (seconds 60))
                  [ atLeast Audience.All $"Mbit/s after 5 s ≥ %.2f{goal} (0.9 of Reno)" goal (fun trial ->
                        Measure.goodput trial.Result.Flows[0] (seconds 5) (seconds 60) / 1e6) ] ]

    let private c11 =
        [ for name, queue in
              [ "CoDel", Queue.CoDel 1_000_000
                "PIE", Queue.Pie 1_000_000
                "RED from 25 to 75 kB", Queue.Red(25_000, 75_000) ] ->
              let managed = plain |> onForward (fun path -> { path with Queue = queue })

              scenario
                  "C11"
                  $"alone, 10 Mbit/s, 40 ms, {name}"
                  (solo managed (seconds 60))
                  [ utilised Audience.All 85.0 (seconds 5) ] ]

    let private c12 =
        let narrow =
            path (ms 40) 20_000 300_000
            |> onReverse (fun path -> { path with Rate = Rate.Constant 250_000; Queue = Queue.Tail 64_000 })

        let loaded controller _ seed =
            let other = { flow "back" "cubic-model" seed with IsBackward = true }
            { Bottleneck = narrow; Flows = [ flow "flow" controller seed; other ]; Duration = seconds 60 }

        let late =
            path (ms 40) 20_000 300_000
            |> onReverse (fun path -> { path with Lateness = Lateness.Uniform(ms 50) })

        [ scenario
              "C12"
              "20 Mbit/s, 40 ms; CUBIC fills 2 Mbit/s back"
              loaded
              [ utilised Audience.All 85.0 (seconds 20) ]
          scenario
              "C12"
              "20 Mbit/s, 40 ms; 0 to 50 ms more back"
              (solo late (seconds 60))
              [ utilised Audience.All 85.0 (seconds 20) ] ]

    let private c13 =
        let clocks =
            [| for skew in [ 50; -50; 200; -200 ] do
                   { Scenario.clock with Skew = skew; Offset = 1_000_000_007L }
               for step in [ 1_000_000L; -1_000_000L ] do
                   { Scenario.clock with Steps = [ seconds 120, step ]; Offset = 1_000_000_007L } |]

        let setting controller case seed =
            let flow = flow "flow" controller seed
            let flow = { flow with ReceiverHost = { flow.ReceiverHost with Clock = clocks[case] } }
            { Bottleneck = path (ms 40) 1_000 64_000; Flows = [ flow ]; Duration = seconds 1_800 }

        let tiny (trial: Trial) =
            let mutable longest = 0
            let mutable current = 0

            for belief in trial.Result.Flows[0].Beliefs do
                let isTiny = belief.IsSome && belief.Value.Window <= 2_944L
                current <- if isTiny then current + 1 else 0
                longest <- max longest current

            float longest / 10.0

        { scenario
              "C13"
              "clocks ± 50 and ± 200 ppm, and steps of ± 1 s; 1 Mbit/s, 40 ms, 30 min"
              setting
              [ utilised Audience.All 90.0 (seconds 5)
                { For = Audience.Polite
                  What = "queue p95, ms ≤ 1.5 targets"
                  Value = queueFrom 95 (seconds 5)
                  Passes = fun trial value -> value <= 1.5 * inMs trial.Target }
                atMost Audience.All "window of at most two packets, s ≤ 120" 120.0 tiny ] with
            Cases = clocks.Length }

    let private c14 =
        let steps = Lateness.Steps [ seconds 30, ms 100; seconds 690, 0L<us> ]
        let stepped = path (ms 40) 2_000 64_000 |> onForward (fun path -> { path with Lateness = steps })

        scenario
            "C14"
            "base delay 20, 120 for 11 min, 20 ms; 2 Mbit/s"
            (solo stepped (seconds 750))
            [ atMost
                  Audience.All
                  "90 % after the increase, ms ≤ 10 min"
                  600_000.0
                  (timeToAfter (seconds 1) 0.9 (seconds 5) (seconds 30))
              atMost Audience.All "90 % after the decrease, ms ≤ 2 s" 2_000.0 (timeTo 0.9 (seconds 1) (seconds 690)) ]

    let private c15 =
        let supplies =
            [ { From = 0L<us>; Rate = 125_000L }
              { From = seconds 20; Rate = 0L }
              { From = seconds 80; Rate = System.Int64.MaxValue } ]

        let setting controller _ seed =
            { Bottleneck = path (ms 200) 10_000 256_000
              Flows = [ { flow "flow" controller seed with Supplies = supplies } ]
              Duration = seconds 100 }

        let grown (trial: Trial) =
            match trial.Result.Flows[0].Beliefs[190] with
            | ValueSome belief -> float belief.Window / 1472.0
            | ValueNone -> 0.0

        scenario
            "C15"
            "1 of 10 Mbit/s for 20 s, nothing for 60 s, then bulk; 200 ms"
            setting
            [ // What is used is 25 kB a round trip; the first window is 10 packets. BBR's window follows the rate that it has found.
              for audience in [ Audience.Polite; Audience.Cubic ] do
                  atMost audience "packets of window after 19 s ≤ 40" 40.0 grown

              atMost Audience.All "packets at once after the pause ≤ 10" 10.0 (fun trial ->
                  float (Measure.burst trial.Result.Flows[0] (seconds 80) (seconds 81))) ]

    /// Also C33: the same links, and what is asked of BBR there.
    let private c18 =
        [ for name, typical, roundTrip in
              [ "LTE, 8 Mbit/s, 50 ms", 1_000_000, ms 50; "UMTS, 1 Mbit/s, 100 ms", 125_000, ms 100 ] ->
              let cellular =
                  path roundTrip (typical / 125) (3 * typical)
                  |> onForward (fun path -> { path with Rate = Rate.Cellular typical })

              scenario
                  "C18"
                  $"cellular: {name}"
                  (solo cellular (seconds 120))
                  [ utilised Audience.Polite 70.0 (seconds 5)
                    utilised Audience.Equal 75.0 (seconds 5)
                    { For = Audience.Polite
                      What = "queue p95, ms ≤ 3 targets"
                      Value = queueFrom 95 (seconds 5)
                      Passes = fun trial value -> value <= 3.0 * inMs trial.Target }
                    atMost Audience.Bbr "queue p95, ms ≤ 360" 360.0 (queueFrom 95 (seconds 5)) ] ]

    let all = rows @ [ c1; c2; c3; c4; c5 ] @ c9 @ c11 @ c12 @ [ c13; c14; c15 ] @ c18
