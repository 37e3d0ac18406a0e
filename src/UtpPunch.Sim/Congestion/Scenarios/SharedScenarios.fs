namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Congestion.LabScenario

/// Flows that share a bottleneck: C6 to C8, C10, C16, C17 and C22 to C27 of docs/congestion.md.
module SharedScenarios =
    let private several count bottleneck duration : string -> int -> uint64 -> Setting =
        fun controller _ seed ->
            { Bottleneck = bottleneck
              Flows = [ for number in 1..count -> flow $"flow {number}" controller seed ]
              Duration = duration }

    let private c6 =
        [ for count, rate in [ 2, 10_000; 4, 20_000; 16, 40_000 ] ->
              scenario
                  "C6"
                  $"{count} flows together, {rate / 1_000} Mbit/s, 40 ms, 256 kB"
                  (several count (path (ms 40) rate 256_000) (seconds 60))
                  [ atLeast Audience.All "Jain's index after 10 s ≥ 0.95" 0.95 (jainFrom (seconds 10))
                    utilised Audience.All 90.0 (seconds 10) ] ]

    /// Round trips of 20 and of 200 ms.
    let private unequal queue controller _ seed =
        let far = { flow "far" controller seed with Access = ms 90 }

        { Bottleneck = path (ms 20) 10_000 queue
          Flows = [ flow "near" controller seed; far ]
          Duration = seconds 120 }

    let private c7 =
        scenario
            "C7"
            "round trips of 20 and 200 ms, 10 Mbit/s, 256 kB"
            (unequal 256_000)
            [ atLeast Audience.Polite "Jain's index after 30 s ≥ 0.6" 0.6 (jainFrom (seconds 30))
              atLeast Audience.All "smallest share after 30 s ≥ 10 %" 10.0 (leastShareFrom (seconds 30)) ]

    let private c26 =
        scenario
            "C26"
            "round trips of 20 and 200 ms, 10 Mbit/s, 1 bdp of 110 ms"
            (unequal (bytesIn (ms 110) 10_000))
            [ atLeast Audience.All "smallest share after 30 s ≥ 10 %" 10.0 (leastShareFrom (seconds 30))
              atMost Audience.Bbr "greatest share after 30 s ≤ 80 %" 80.0 (greatestShareFrom (seconds 30)) ]

    let private late controller _ seed =
        { Bottleneck = path (ms 40) 10_000 256_000
          Flows = [ flow "first" controller seed; flowAt (seconds 30) "second" controller seed ]
          Duration = seconds 120 }

    let private c8 =
        scenario
            "C8"
            "a second flow after 30 s, 10 Mbit/s, 40 ms, 256 kB"
            late
            [ atMost
                  Audience.All
                  "seconds of the first flow below 5 % ≤ 10"
                  10.0
                  (starvation 0 0.05 (seconds 35) (seconds 120))
              atMost
                  Audience.All
                  "seconds of the second flow below 5 % ≤ 10"
                  10.0
                  (starvation 1 0.05 (seconds 35) (seconds 120)) ]

    let private c25 =
        let share least most from what audience =
            between audience $"share of the second flow {what}: %g{least} to %g{most} %%" least most (shareFrom 1 from)

        scenario
            "C25"
            "a second flow after 30 s, 10 Mbit/s, 40 ms, 256 kB"
            late
            [ share 40.0 60.0 (seconds 90) "in the last 30 s" Audience.Polite
              share 35.0 65.0 (seconds 60) "from 60 s on" Audience.Equal
              { For = Audience.Polite
                What = "queue p95 in the last 30 s, ms ≤ 1.5 targets"
                Value = queueFrom 95 (seconds 90)
                Passes = fun trial value -> value <= 1.5 * inMs trial.Target } ]

    /// A flow of ours from the beginning, and a model between two instants.
    let private against other queue from until duration controller _ seed =
        { Bottleneck = path (ms 40) 20_000 queue
          Flows = [ flow "ours" controller seed; { flowAt from "other" other seed with Until = until } ]
          Duration = duration }

    let private c10 =
        [ for other in [ "reno"; "cubic-model" ] do
              for quarters in [ 2; 4; 8; 16 ] do
                  let queue target = quarters * bytesIn target 20_000 / 4
                  // What an equal share may be exceeded by.
                  let most = if quarters >= 8 then 20.0 else 55.0

                  let setting controller case seed =
                      let queue = queue (Controllers.target controller)
                      against other queue (seconds 10) (seconds 70) (seconds 100) controller case seed

                  scenario
                      "C10"
                      $"{other} joins for 60 s, 20 Mbit/s, 40 ms, queue of %g{float quarters / 4.0} targets"
                      setting
                      [ atMost
                            Audience.Polite
                            $"our share from 30 to 70 s ≤ %g{most} %%"
                            most
                            (shareOf 0 (seconds 30) (seconds 70))
                        { For = Audience.Polite
                          What = "90 % after it has left, ms ≤ 100 round trips"
                          Value = timeTo 0.9 (seconds 1) (seconds 70)
                          Passes = fun trial value -> value <= 100.0 * (40.0 + inMs trial.Target) } ] ]

    let private c24 =
        [ for other in [ "bbr-model"; "cubic-model" ] do
              let setting controller case seed =
                  let queue = 2 * bytesIn (Controllers.target controller) 20_000
                  against other queue (seconds 10) (seconds 70) (seconds 110) controller case seed

              scenario
                  "C24"
                  $"{other} joins for 60 s, 20 Mbit/s, 40 ms, queue of 2 targets"
                  setting
                  [ atMost Audience.Polite "our share from 30 to 70 s ≤ 10 %" 10.0 (shareOf 0 (seconds 30) (seconds 70))
                    atMost
                        Audience.Polite
                        "90 % after it has left, ms ≤ 20 s"
                        20_000.0
                        (timeTo 0.9 (seconds 1) (seconds 70)) ] ]

    let private c16 =
        let setting controller _ seed =
            { Bottleneck = path (ms 40) 10_000 256_000
              Flows = [ { flow "liar" controller seed with Lies = true }; flow "honest" controller seed ]
              Duration = seconds 60 }

        scenario
            "C16"
            "a receiver that hides the delay, beside an honest one; 10 Mbit/s, 40 ms, 256 kB"
            setting
            [ atMost Audience.All "its share after 10 s ≤ 60 %" 60.0 (shareFrom 0 (seconds 10)) ]

    let private c17 =
        let setting controller _ seed =
            // 160 bytes of sound and 12 of RTP, every 20 ms.
            let call =
                { FlowPlan.from "call" (Sender.Uncontrolled 192) with
                    Supplies = [ { From = 0L<us>; Rate = 8_600L } ] }

            { Bottleneck = path (ms 40) 10_000 256_000
              Flows = [ flow "ours" controller seed; call ]
              Duration = seconds 60 }

        let waits (trial: Trial) =
            Measure.waits trial.Result (fun flow -> flow = 1) (seconds 5) (seconds 60)
            |> Measure.percentile 95
            |> inMs

        scenario
            "C17"
            "a call beside a flow, 10 Mbit/s, 40 ms, 256 kB"
            setting
            [ { For = Audience.Polite
                What = "queueing of the call p95, ms ≤ target + 20"
                Value = waits
                Passes = fun trial value -> value <= inMs trial.Target + 20.0 }
              atMost Audience.Polite "its losses after 5 s: none, %" 0.0 (fun trial ->
                  percent (Measure.lost trial.Result.Flows[1] (seconds 5) (seconds 60))) ]

    let private c22 =
        [ for quarters, least in [ 2, 15.0; 4, 25.0; 16, 25.0 ] ->
              let queue = quarters * bytesIn (ms 40) 20_000 / 4

              scenario
                  "C22"
                  $"with the model of CUBIC, 20 Mbit/s, 40 ms, %g{float quarters / 4.0} bdp"
                  (against "cubic-model" queue 0L<us> Time.never (seconds 90))
                  [ between
                        Audience.Bbr
                        $"share of CUBIC after 30 s: %g{least} to 80 %%"
                        least
                        80.0
                        (shareFrom 1 (seconds 30)) ] ]

    let private c23 =
        [ for other in [ "cubic-model"; "reno" ] ->
              scenario
                  "C23"
                  $"with the model of {other}, 20 Mbit/s, 40 ms, 2 bdp"
                  (against other 200_000 0L<us> Time.never (seconds 90))
                  [ if other = "reno" then
                        between Audience.Cubic "our share after 30 s: 40 to 80 %" 40.0 80.0 (shareFrom 0 (seconds 30))
                    else
                        atLeast Audience.Cubic "Jain's index after 30 s ≥ 0.9" 0.9 (jainFrom (seconds 30)) ] ]

    let private c27 =
        scenario
            "C27"
            "16 flows together, 40 Mbit/s, 40 ms, 1 bdp"
            (several 16 (path (ms 40) 40_000 200_000) (seconds 60))
            [ atLeast Audience.Bbr "Jain's index after 10 s ≥ 0.85" 0.85 (jainFrom (seconds 10))
              atMost Audience.Bbr "dropped after 10 s ≤ 2 %" 2.0 (fun trial ->
                  trial.Result.Flows
                  |> Seq.averageBy (fun flow -> percent (Measure.dropped flow (seconds 10) (seconds 60)))) ]

    let all = c6 @ [ c7; c8 ] @ c10 @ [ c16; c17 ] @ c22 @ c23 @ c24 @ [ c25; c26; c27 ]
