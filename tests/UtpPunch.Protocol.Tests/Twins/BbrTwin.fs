/// The phases of BBR in floating point (draft-ietf-ccwg-bbr-06, 5.3 and 5.5.10), and its window.
module UtpPunch.Protocol.Tests.BbrTwin

open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Twin
open UtpPunch.Protocol.Tests.BbrTwinModel

// ---- Ends of rounds ----

let private leaveStartup it = { it with IsFull = true; FullCount = 0 }

let private growsByQuarter rate before (choices: Choices) = choices.Reaches(rate, 1.25 * before, 1.0)

/// 5.3.1.3, at once: Startup ends with six losses that are too many.
let private judgeLosses choices it =
    let round = it.Round

    if it.Mode = Startup && round.Ranges >= 6 && isTooLossy round.Lost round.Acked round.IsEmpty choices it then
        leaveStartup { it with LongFlight = max (bdp 1.0 it) round.Acked }
    else
        it

/// 5.3.1: Startup ends when the rate grows no more; and after a round with a queue.
let private judgeStartup (sample: CongestionSample) (choices: Choices) it =
    let round = it.Round

    let isHeld =
        match it.HeldRound with
        | ValueSome held -> it.Rounds - held > 1L
        | ValueNone -> false

    if isHeld then
        leaveStartup it
    elif growsByQuarter (maxBw it) it.FullBw choices then
        { it with FullBw = maxBw it; FullCount = 0 }
    elif sample.IsAppLimited || round.IsPeerLimited then
        it
    elif it.FullCount = 2 then
        leaveStartup it
    else
        { it with FullCount = it.FullCount + 1 }

/// 5.5.10.3: beta is 0.7.
let private adaptShort (choices: Choices) it =
    let round = it.Round
    let sent = round.Lost + round.Acked
    let ofPath = 2.0 * it.PathLoss * sent + 2.0 * it.Segment
    // Two packets are just as much, to the byte, where the path loses nothing.
    let inexact = if it.PathLoss > 0.0 then 2.0 + 2.0 * shareRounding * sent else 0.0
    let isAbove = choices.Exceeds(round.Lost, ofPath, inexact)

    if isAbove && (not round.IsEmpty || isTooLossy round.Lost round.Acked true choices it) then
        let bw = if it.ShortBw = infinity then maxBw it else it.ShortBw
        let flight = if it.ShortFlight = infinity then it.Cwnd else it.ShortFlight

        { it with
            ShortBw = max (min bw round.Rate) (0.7 * bw)
            ShortFlight = max (min flight round.Acked) (0.7 * flight) }
    else
        it

/// Whether a queue is longer than 100 ms and than the round trip.
let private isLong queue (choices: Choices) it = choices.Exceeds(queue, max 0.1 it.MinRtt.Value, microsecond)

/// A long queue has stood for a round: the rate is what has arrived.
let private adaptToQueue (choices: Choices) it =
    if it.Round.Rate > 0.0 && isLong it.Round.Queue choices it then
        { it with ShortBw = min (bw it) it.Round.Rate }
    else
        it

let private raiseUp (sample: CongestionSample) (choices: Choices) it =
    let isBound = it.LongFlight < infinity && choices.Reaches(it.Cwnd, it.LongFlight, rounding)

    if isBound then
        { it with
            LongFlight = it.LongFlight + it.UpPackets * it.Segment
            UpPackets = min 4096.0 (2.0 * it.UpPackets)
            FullCount = 0 }
    elif growsByQuarter (maxBw it) it.ProbeBw choices then
        { it with ProbeBw = maxBw it; FullCount = 0 }
    elif sample.IsAppLimited then
        it
    else
        { it with FullCount = it.FullCount + 1 }

let private endRound (sample: CongestionSample) choices (it: State) =
    let it = { it with Rounds = it.Rounds + 1L; RoundEnd = sample.Delivered }

    let it =
        match it.Mode with
        | Startup -> judgeStartup sample choices it
        | Down
        | Cruise
        | Drain
        | ProbeRtt -> it |> adaptShort choices |> adaptToQueue choices
        | Up -> raiseUp sample choices it
        | Refill -> it

    // 5.5.6: the filter has two cycles.
    let isComplete = it.IsSampling && it.Mode <> Up && it.Rounds > it.SinceRound
    let isNext = isComplete && not sample.IsAppLimited && it.CycleBw > 0.0

    { it with
        IsSampling = it.IsSampling && not isComplete
        LastBw = if isNext then it.CycleBw else it.LastBw
        CycleBw = if isNext then 0.0 else it.CycleBw
        Round = noRound
        WasEmpty = it.Round.IsEmpty
        LastQueue = it.Round.Queue }

// ---- Phases ----

let private resetShort it = { it with ShortBw = infinity; ShortFlight = infinity }

/// The core's source of random numbers: Knuth's generator, from the stream's number.
let private draw it =
    let next = it.Random * 1664525u + 1013904223u
    struct (next >>> 8, { it with Random = next })

/// 5.3.3.5.2: after two to three seconds, or as many rounds as Reno needs, at most 63.
let private startDown now (choices: Choices) it =
    let packets = choices.Floor(bdp 1.0 it / it.Segment, rounding / it.Segment)
    let struct (wait, it) = draw it
    let struct (less, it) = draw it

    enter
        Down
        now
        { it with
            ProbeAt = now + 2.0 + float (wait % 1_000_000u) / 1e6
            ProbeRound = it.Rounds + max 1L (int64 (min 63.0 packets) - int64 (less % 2u))
            IsSampling = true
            UpPackets = 1.0 }

let private isDue now (choices: Choices) it =
    if isLong it.LastQueue choices it then
        choices.Reaches(now, it.ProbeAt + 6.0, microsecond)
    else
        it.Rounds >= it.ProbeRound || choices.Reaches(now, it.ProbeAt, microsecond)

let private startRefill now it = enter Refill now (resetShort it)

/// 5.3.3.6: too many losses, or a queue, end a probe.
let private probeUp (sample: CongestionSample) now (choices: Choices) it =
    let sent = float sample.SentFlight
    let lost = float sample.LostSince
    let flight = float sample.Flight
    let above = bdp 1.25 it

    if isTooLossy lost (sent - lost) sample.IsQueueEmpty choices it then
        let bound = max sent (max (0.7 * bdp 1.0 it) (fourPackets it))
        startDown now choices (if sample.IsAppLimited then it else { it with LongFlight = bound })
    elif it.FullCount >= 3 then
        startDown now choices it
    elif not sample.IsQueueEmpty && it.Rounds > it.SinceRound && choices.Reaches(flight, above, rounding) then
        startDown now choices it
    elif it.LongFlight < infinity then
        { it with LongFlight = max it.LongFlight sent }
    else
        it

let private advance (sample: CongestionSample) (choices: Choices) it =
    let now = seconds sample.Now
    let flight = float sample.Flight
    let fits limit = not (choices.Exceeds(flight, limit, rounding))

    match it.Mode with
    | Startup when it.IsFull -> enter Drain now it
    | Startup -> it
    | Drain when it.Rounds - it.SinceRound >= 3L || fits (bdp 1.0 it) ->
        let it = startDown now choices it
        { it with ProbeRound = it.Rounds + 4L }
    | Drain -> it
    | Down
    | Cruise when isDue now choices it -> startRefill now it
    | Down when fits (min (bdp 1.0 it) (headroom it.LongFlight)) -> enter Cruise now it
    | Down
    | Cruise -> it
    | Refill when it.Rounds > it.SinceRound ->
        enter Up now { it with ProbeBw = maxBw it; FullCount = 0; IsSampling = true }
    | Refill -> it
    | Up -> probeUp sample now choices it
    | ProbeRtt -> it

/// 5.3.4: for 200 ms and a round trip at half of the window.
let private checkProbeRtt (sample: CongestionSample) (choices: Choices) it =
    let now = seconds sample.Now

    match it.Mode, it.ProbeRttDone with
    | ProbeRtt, ValueNone ->
        let limit = max (bdp 0.5 it) (fourPackets it)

        if choices.Exceeds(float sample.Flight, limit, rounding) then
            it
        else
            { it with ProbeRttDone = ValueSome(struct (now, it.Rounds)) }
    | ProbeRtt, ValueSome(struct (since, round)) ->
        if it.Rounds > round && choices.Reaches(now - since, 0.2, microsecond) then
            let it = { it with ProbeRttMin = { it.ProbeRttMin with At = now }; Cwnd = max it.Cwnd it.PriorCwnd }
            enter Cruise now { startDown now choices (resetShort it) with IsSampling = false }
        else
            it
    | _ when it.IsFull && choices.Exceeds(now - it.ProbeRttMin.At, 5.0, microsecond) ->
        enter ProbeRtt now { it with PriorCwnd = it.Cwnd; ProbeRttDone = ValueNone }
    | _ -> it

// ---- The window (5.6.4) ----

let private startupWindow (sample: CongestionSample) it =
    let isSmall = it.Cwnd < 128.0 * it.Segment && it.Round.IsEmpty && it.WasEmpty
    let gain = if isSmall then 3.0 else 2.0
    let bytes = float sample.Bytes
    max it.Cwnd (min (gain * float sample.FlightBefore) (it.Cwnd + (gain - 1.0) * bytes))

/// What is in flight while acknowledgements wait on their way back, for 300 ms at most.
let private wayBack (sample: CongestionSample) (choices: Choices) it =
    let queueing = seconds sample.Queueing
    let limit = max 0.004 (it.MinRtt.Value / 8.0)

    if sample.HasQueueing && not (choices.Exceeds(queueing, limit, microsecond)) then
        let roundTrip = min (seconds sample.Smoothed) (seconds sample.RoundTrip)
        bw it * max 0.0 (min 0.3 (roundTrip - it.MinRtt.Value - queueing))
    else
        0.0

let private fullWindow (sample: CongestionSample) (choices: Choices) it =
    let gain =
        match it.Mode with
        | Up -> 2.25
        | ProbeRtt -> 0.5
        | _ -> 2.0

    let train = min 65_000.0 (0.001 * pacingRate it)
    let isLong = choices.Exceeds(train, 2.0 * it.Segment, 1.0)
    let least = if isLong then 3.0 * train else fourPackets it
    let target = bdp gain it + max it.Extra.Most it.Extra.Before + wayBack sample choices it
    min (it.Cwnd + float sample.Bytes) (max least target)

let private setWindow (sample: CongestionSample) choices it =
    let window =
        if it.IsFull then fullWindow sample choices it
        elif it.HeldRound.IsNone && it.Queues = 0 then startupWindow sample it
        else it.Cwnd

    let bound =
        match it.Mode with
        | Startup -> infinity
        | Up
        | Refill -> it.LongFlight
        | Cruise
        | ProbeRtt -> min it.ShortFlight (headroom it.LongFlight)
        | Down
        | Drain -> min it.ShortFlight it.LongFlight

    let bound = if it.Mode = ProbeRtt then min bound (bdp 0.5 it) else bound
    { it with Cwnd = max (fourPackets it) (min window bound) }

let private acknowledged (sample: CongestionSample) choices it =
    let it =
        it
        |> observeRtt sample choices
        |> observeRate sample
        |> observeQueue sample choices
        |> judgeLosses choices
        |> observeAggregation sample choices

    let it = if sample.PriorDelivered >= it.RoundEnd then endRound sample choices it else it
    let it = it |> advance sample choices |> checkProbeRtt sample choices
    if maxBw it > 0.0 && it.MinRtt.Value > 0.0 then setWindow sample choices it else it

let private observe (sample: CongestionSample) choices it =
    let it = if it.Random = 0u then { it with Random = sample.Salt ||| 1u } else it
    let it = if sample.SpuriousPackets > 0 then resetShort it else it
    let round = it.Round

    let it =
        { it with
            Round =
                { round with
                    Acked = round.Acked + float sample.Bytes
                    Lost = round.Lost + float sample.LostBytes
                    Ranges = round.Ranges + sample.LostRanges
                    Queue = min round.Queue (if sample.HasQueueing then seconds sample.Queueing else 0.0)
                    IsEmpty = round.IsEmpty && sample.IsQueueEmpty
                    IsPeerLimited = round.IsPeerLimited || sample.IsPeerLimited } }

    let it = learnPathLoss sample it
    if sample.Bytes > 0 then acknowledged sample choices it else it

let private phase it =
    match it.Mode with
    | Startup -> "startup"
    | Drain -> "drain"
    | Down -> "probe-down"
    | Cruise -> "probe-cruise"
    | Refill -> "probe-refill"
    | Up -> "probe-up"
    | ProbeRtt -> "probe-rtt"

let private rules =
    { Window = _.Cwnd
      PacingRate = pacingRate
      Phase = phase
      IsLossTolerated = fun _ -> false
      Events = fun _ -> []
      Observe = observe
      TimedOut = fun _ _ it -> { it with Cwnd = it.Segment }
      Resized = fun packet it -> { it with Segment = packet; Cwnd = max it.Cwnd (2.0 * packet) }
      Restarted =
        fun now roundTrip it ->
            if it.MinRtt.Value = 0.0 && roundTrip > 0.0 then
                { it with MinRtt = { Value = roundTrip; At = now } }
            else
                it }

let start (from: CongestionStart) =
    let segment = float from.Packet
    let state = nothing segment
    let window = if from.Window > 0 then max (float from.Window) (2.0 * segment) else state.Cwnd
    Twin(rules, { state with Cwnd = window }) :> ITwin
