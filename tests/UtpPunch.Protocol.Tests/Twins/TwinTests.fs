/// Each congestion controller of the core, in integers, beside its twin in floating point, over random paths.
module UtpPunch.Protocol.Tests.TwinTests

open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Twin
open UtpPunch.Protocol.Tests.TwinPair

/// Histories, and the most that one may be: virtual seconds, and samples. More of them find what these do not: change the first seed.
let private firstSeed = 1
let private histories = 260
let private longest = 60.0
let private mostSamples = 4_000

let private over (control: CongestionControl) (twin: CongestionStart -> ITwin) =
    let tally = Tally()

    for seed in firstSeed .. firstSeed + histories - 1 do
        let life = RandomPath.draw seed

        let start =
            { Packet = life.Packet
              TargetDelay = Time.milliseconds 60
              Window = life.Window
              RoundTrip = 0L<us> }

        let pair = TwinPair($"the history with the seed {seed}", control.Start start, twin start, tally)
        RandomPath.run life longest mostSamples pair

    tally

let private calls =
    [ "acknowledged", 10_000
      "lost", 500
      "congestion", 1_000
      "arrived after all", 500
      "timed out", 100
      "resized", 100
      "restarted", 500 ]

let private has (expected: (string * int) list) (counts: Dictionary<string, int>) =
    for name, least in expected do
        Expect.isGreaterThan (counts.GetValueOrDefault name) least $"times that the histories have '{name}'"

    for name in counts.Keys do
        Expect.isTrue (expected |> List.exists (fun (known, _) -> known = name)) $"'{name}' is expected"

let private beside (claim: string) (control: CongestionControl) twin phases events =
    test claim {
        let tally = over control twin
        has calls tally.Calls
        has phases tally.Phases
        has events tally.Events
        let all = Seq.sum tally.Calls.Values
        Expect.isLessThan tally.Corrected (all / 500) "calls in which rounding has decided a comparison"
    }

let tests =
    testList
        "twins"
        [ beside
              "CUBIC: over random paths, window, pacing rate and phase are those of the formulas in floating point, within a hundredth"
              CongestionControls.cubic
              CubicTwin.start
              [ "slow-start", 5_000; "conservative-start", 2_000; "avoidance", 10_000; "recovery", 10_000 ]
              []
          beside
              "BBR: over random paths, window, pacing rate and phase are those of the formulas in floating point, within a hundredth"
              CongestionControls.bbr
              BbrTwin.start
              [ "startup", 5_000
                "drain", 1_000
                "probe-down", 10_000
                "probe-cruise", 10_000
                "probe-refill", 5_000
                "probe-up", 5_000
                "probe-rtt", 50 ]
              []
          beside
              "LEDBAT++: over random paths, window, pacing rate and phase are those of the formulas in floating point, within a hundredth"
              CongestionControls.ledbat
              LedbatTwin.start
              [ "slow-start", 10_000; "avoidance", 100_000; "slowdown", 5_000 ]
              [ "slow start left at the rate", 100
                "slow start left at its window", 3
                "a slow reader", 200
                "decrease", 5_000
                "faster growth", 10_000
                "back to the full window", 300
                "slowdown, spacing 1", 3
                "slowdown, spacing 2", 100
                "halved", 2_000
                "halved in a slowdown", 20
                "tolerated", 1_000
                "time-out", 200
                "repeated time-out", 200
                "without delays", 50_000 ] ]
