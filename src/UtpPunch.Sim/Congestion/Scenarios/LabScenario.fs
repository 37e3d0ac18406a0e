namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Tracing

/// For which controllers a criterion holds.
[<RequireQualifiedAccess>]
type Audience =
    | All
    /// Those that yield: LEDBAT++.
    | Polite
    /// BBR and its variants.
    | Bbr
    /// CUBIC.
    | Cubic
    /// Those that do not yield.
    | Equal

/// What runs.
[<NoComparison; NoEquality>]
type Setting = { Bottleneck: Bottleneck; Flows: FlowPlan list; Duration: Duration }

/// One run of a scenario.
[<NoComparison; NoEquality>]
type Trial =
    {
        Controller: string
        Target: Duration
        /// The index of the case.
        Case: int
        Result: LabResult
    }

/// What a run must reach. Times are in milliseconds, shares and utilisations in percent.
[<NoComparison; NoEquality>]
type Criterion =
    {
        For: Audience
        /// What is measured, and what is required.
        What: string
        Value: Trial -> float
        Passes: Trial -> float -> bool
    }

/// A scenario of docs/congestion.md: one or more cases (such as the points of a grid), each a path and flows, and the criteria.
[<NoComparison; NoEquality>]
type LabScenario =
    {
        Group: string
        Name: string
        /// The number of cases: a run plays one, and a campaign all of them.
        Cases: int
        /// The most runs: few for those that take long.
        Runs: int
        /// By the name of the controller, the index of the case and the seed.
        Setting: string -> int -> uint64 -> Setting
        Criteria: Criterion list
    }

module Audience =
    let has (controller: string) (audience: Audience) =
        let isBbr = controller.StartsWith "bbr"
        let isCubic = controller.StartsWith "cubic" || controller = "reno"

        match audience with
        | Audience.All -> true
        | Audience.Polite -> not isBbr && not isCubic
        | Audience.Bbr -> isBbr
        | Audience.Cubic -> isCubic
        | Audience.Equal -> isBbr || isCubic

/// The vocabulary of the scenarios.
module LabScenario =
    let ms = Time.milliseconds
    let seconds = Time.seconds

    /// The bytes that a path carries in a time, at a rate in kbit/s.
    let bytesIn (time: Duration) (rate: int) = int (int64 rate * int64 time / 8_000L)

    /// A path by its round trip, its rate in kbit/s, and its queue in bytes: at least three packets.
    let path (roundTrip: Duration) (rate: int) (queue: int) =
        Lab.bottleneck (roundTrip / 2L) (int64 rate * 1_000L) (max 4_500 queue)

    let onForward (change: Path -> Path) (bottleneck: Bottleneck) =
        { bottleneck with Forward = change bottleneck.Forward }

    let onReverse (change: Path -> Path) (bottleneck: Bottleneck) =
        { bottleneck with Reverse = change bottleneck.Reverse }

    /// In thousandths.
    let losing share bottleneck =
        onForward (fun path -> { path with Loss = (if share = 0 then Loss.Never else Loss.Each share) }) bottleneck

    /// A flow that begins at an instant, or up to 5 ms later: flows that begin together have no standing queue before them.
    let flowAt (at: Duration) (name: string) (controller: string) (seed: uint64) : FlowPlan =
        let number = name |> Seq.sumBy int64
        let late = Time.microseconds (int64 (Keyed.bits seed 110 number % 5_000UL))
        { FlowPlan.from name (Controllers.sender controller) with From = at + late }

    let flow name controller seed = flowAt 0L<us> name controller seed

    /// One flow over a path.
    let solo (bottleneck: Bottleneck) (duration: Duration) : string -> int -> uint64 -> Setting =
        fun controller _ seed ->
            { Bottleneck = bottleneck; Flows = [ flow "flow" controller seed ]; Duration = duration }

    let scenario group name setting criteria =
        { Group = group
          Name = name
          Cases = 1
          Runs = System.Int32.MaxValue
          Setting = setting
          Criteria = criteria }

    // ---- Criteria ----

    let inMs (duration: Duration) = if duration = Time.never then infinity else float duration / 1000.0

    let atLeast audience what limit value =
        { For = audience; What = what; Value = value; Passes = fun _ found -> found >= limit }

    let atMost audience what limit value =
        { For = audience; What = what; Value = value; Passes = fun _ found -> found <= limit }

    let between audience what least most value =
        { For = audience
          What = what
          Value = value
          Passes = fun _ found -> found >= least && found <= most }

    let percent value = 100.0 * value

    let private endOf (trial: Trial) = trial.Result.Duration

    let used from until (trial: Trial) = percent (Measure.utilisation trial.Result from until)

    /// The utilisation from an instant to the end.
    let usedFrom from (trial: Trial) = used from (endOf trial) trial

    let utilised audience limit (from: Duration) =
        atLeast audience $"utilisation after {from / 1_000_000L} s ≥ %g{limit} %%" limit (usedFrom from)

    let queueFrom percentile from (trial: Trial) = inMs (Measure.queueing trial.Result percentile from (endOf trial))

    /// What the queue dropped of the first flow, in percent.
    let droppedFrom from (trial: Trial) = percent (Measure.dropped trial.Result.Flows[0] from (endOf trial))

    let lostFrom from (trial: Trial) = percent (Measure.lost trial.Result.Flows[0] from (endOf trial))

    let drops (trial: Trial) = float (Measure.drops trial.Result.Flows[0] 0L<us> (endOf trial))

    let timeouts (trial: Trial) = float (Measure.timeouts trial.Result.Flows[0])

    /// The share of a flow, in percent.
    let shareOf flow from until (trial: Trial) = percent (Measure.share trial.Result flow from until)

    let shareFrom flow from (trial: Trial) = shareOf flow from (endOf trial) trial

    let jainFrom from (trial: Trial) =
        Measure.jain trial.Result [ 0 .. trial.Result.Flows.Length - 1 ] from (endOf trial)

    /// The smallest share of any flow, in percent.
    let leastShareFrom from (trial: Trial) =
        Seq.min [ for index in 0 .. trial.Result.Flows.Length - 1 -> shareFrom index from trial ]

    let greatestShareFrom from (trial: Trial) =
        Seq.max [ for index in 0 .. trial.Result.Flows.Length - 1 -> shareFrom index from trial ]

    /// How long it takes after an instant until that part of the path is used for a while. What is in the queue at that instant does not count for
    /// `skip`.
    let timeToAfter (skip: Duration) part (span: Duration) from (trial: Trial) =
        match Measure.reaches trial.Result part span (from + skip) with
        | at when at = Time.never -> infinity
        | at -> inMs (at - from)

    let timeTo part span from trial = timeToAfter 0L<us> part span from trial

    /// How long it takes after an instant until no packet waits longer than a limit for a while; at most until `until`.
    let timeToDrain (limit: Duration) (span: Duration) (from: Instant) (until: Instant) (trial: Trial) =
        let count = Measure.indexOf until
        let worst = Array.create count 0L<us>

        for departure in trial.Result.Departures do
            let index = Measure.indexOf departure.At
            if index < count then worst[index] <- max worst[index] departure.Waited

        let steps = max 1 (int (span / Measure.bucket))
        let isShort first = Array.forall (fun waited -> waited <= limit) worst[first .. first + steps - 1]

        seq { Measure.indexOf from .. count - steps }
        |> Seq.tryFind isShort
        |> function
            | Some index -> inMs (int64 index * Measure.bucket - from)
            | None -> infinity

    /// The longest time for which a flow has had less than a share of the path, in seconds, between two instants.
    let starvation flow share from until (trial: Trial) =
        let second = seconds 1
        let mutable longest = 0
        let mutable current = 0

        for index in int (from / second) .. int (until / second) - 1 do
            let at = int64 index * second
            let starves = Measure.share trial.Result flow at (at + second) < share
            current <- if starves then current + 1 else 0
            longest <- max longest current

        float longest
