/// CUBIC in floating point: RFC 9438 with the slow start of RFC 9406, and with recovery in proportion to what arrives, as
/// docs/congestion.md says. Windows are in bytes, times in seconds; the curve is in segments, as in the RFC.
module UtpPunch.Protocol.Tests.CubicTwin

open System
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Twin

/// RFC 9438, 4.1 and 4.6.
let private C = 0.4
let private beta = 0.7
let private alpha = 3.0 * (1.0 - beta) / (1.0 + beta)

/// The curve of a congestion avoidance, since an epoch.
type private Epoch = { Start: float; K: float; Most: float }

/// W_max and cwnd_prior, W_est, and the epoch, if congestion avoidance has begun.
type private Curve = { WMax: float; Prior: float; WEst: float; Epoch: Epoch voption }

let private noCurve = { WMax = 0.0; Prior = 0.0; WEst = 0.0; Epoch = ValueNone }

/// A recovery: what has to be delivered before its end, and RecoverFS.
type private Recovery = { Until: int64; Flight: float }

/// What a congestion event has replaced, and the packets whose loss is not disproved.
type private Undo = { Packets: int; Window: float; Threshold: float; Curve: Curve }

/// RFC 9406. Delays are infinite before the first.
type private HyStart =
    {
        RoundEnd: int64
        Delay: float
        LastDelay: float
        Samples: int
        /// Rounds of conservative slow start that are left, and the delay with which it began.
        Rounds: int
        Baseline: float
    }

type private State =
    { Segment: float
      Window: float
      Threshold: float
      RoundTrip: float
      SampledAt: float
      Curve: Curve
      Recovery: Recovery voption
      Undo: Undo voption
      HyStart: HyStart }

/// The core divides by whole bytes, and grows by whole bytes for each packet; its curve has milliseconds. All that adds up over a congestion
/// avoidance.
let private rounding it = 2.0 + 1e-3 * it.Window

/// The packet that is acknowledged was sent when that much had been delivered.
let private isSentAfter (delivered: int64) (sample: CongestionSample) =
    sample.Delivered > sample.PriorDelivered && sample.PriorDelivered >= delivered

// ---- Slow start ----

let private startRound (sample: CongestionSample) it =
    let h = it.HyStart

    if not (isSentAfter h.RoundEnd sample) then
        it
    else
        let isLast = h.Rounds = 1

        { it with
            Threshold = if isLast then it.Window else it.Threshold
            HyStart =
                { h with
                    RoundEnd = sample.Delivered
                    LastDelay = h.Delay
                    Delay = infinity
                    Rounds = max 0 (h.Rounds - 1) } }

let private observeDelay (sample: CongestionSample) (choices: Choices) it =
    let delay = if sample.HasQueueing then seconds sample.Queueing else seconds sample.RoundTrip

    if it.Threshold < infinity || not (sample.HasQueueing || delay > 0.0) then
        it
    else
        let h = it.HyStart
        let isConservative = h.Rounds > 0
        let limit = if isConservative then h.Baseline else h.LastDelay + hystartMargin (seconds sample.Least)
        let isLong = choices.Reaches(delay, limit, microsecond)
        // Eight in a row: long ones in slow start, short ones in conservative slow start.
        let samples = if isLong <> isConservative then h.Samples + 1 else 0
        let h = { h with Delay = min h.Delay delay; Samples = samples }

        if samples < 8 then
            { it with HyStart = h }
        else
            { it with
                HyStart = { h with Samples = 0; Baseline = limit; Rounds = (if isConservative then 0 else 5) } }

let private slowStart (bytes: float) it =
    let grown = it.Window + (if it.HyStart.Rounds > 0 then bytes / 4.0 else bytes)
    { it with Window = max it.Window (min grown it.Threshold) }

// ---- Congestion avoidance ----

let private beginEpoch now it =
    let curve = it.Curve
    let wMax = max curve.WMax it.Window
    let k = Math.Cbrt((wMax - it.Window) / it.Segment / C)

    { it with
        Curve = { curve with WMax = wMax; WEst = it.Window; Epoch = ValueSome { Start = now; K = k; Most = wMax } } }

let private avoid (sample: CongestionSample) (choices: Choices) (bytes: float) it =
    let now = seconds sample.Now
    let it = if it.Curve.Epoch.IsSome then it else beginEpoch now it
    let epoch = it.Curve.Epoch.Value
    // 4.3: "W_est = W_est + alpha_cubic * segments_acked / cwnd".
    let alpha = if choices.Reaches(it.Curve.WEst, it.Curve.Prior, rounding it) then 1.0 else alpha
    let wEst = it.Curve.WEst + alpha * it.Segment * bytes / it.Window
    // 4.2: "W_cubic(t) = C * (t - K)^3 + W_max", a round trip ahead; 4.4: "target" is from cwnd to 1.5 cwnd.
    let t = now - epoch.Start + it.RoundTrip
    let curve = C * Math.Pow(t - epoch.K, 3.0) * it.Segment + epoch.Most
    let target = max it.Window (min (1.5 * it.Window) curve)
    let window = it.Window + (target - it.Window) * bytes / it.Window
    { it with Window = max wEst window; Curve = { it.Curve with WEst = wEst } }

/// A window has one segment at least.
let private atLeastOne (it: State) = { it with Window = max it.Segment it.Window }

let private postpone elapsed it =
    let later =
        it.Curve.Epoch
        |> ValueOption.map (fun epoch -> { epoch with Start = epoch.Start + max 0.0 elapsed })

    { it with Curve = { it.Curve with Epoch = later } }

let private grow (sample: CongestionSample) (choices: Choices) it =
    let used = float sample.FlightBefore + 3.0 * it.Segment

    // RFC 9438, 5.8.
    if sample.IsWindowLimited || choices.Reaches(used, it.Window, rounding it) then
        let bytes = float sample.Bytes
        atLeastOne (if it.Window < it.Threshold then slowStart bytes it else avoid sample choices bytes it)
    else
        postpone (seconds sample.Now - it.SampledAt) it

// ---- Congestion events ----

let private remember packets (it: State) =
    ValueSome { Packets = packets; Window = it.Window; Threshold = it.Threshold; Curve = it.Curve }

let private arriveAfterAll packets it =
    match it.Undo with
    | ValueSome undo when packets > 0 && undo.Packets > packets ->
        { it with Undo = ValueSome { undo with Packets = undo.Packets - packets } }
    | ValueSome undo when packets > 0 ->
        atLeastOne
            { it with
                Window = max it.Window undo.Window
                Threshold = undo.Threshold
                Curve = undo.Curve
                Recovery = ValueNone
                Undo = ValueNone }
    | _ -> it

let private endRecovery it =
    if it.Recovery.IsSome then
        { it with Recovery = ValueNone; Window = min it.Window it.Threshold }
    else
        it

let private reduce (sample: CongestionSample) (choices: Choices) it =
    let it = endRecovery it
    let threshold = max (2.0 * it.Segment) (beta * it.Window)
    let flight = max (float sample.FlightBefore) (float sample.Flight + float sample.LostBytes)
    // 4.7: fast convergence.
    let isReached = choices.Reaches(it.Window, it.Curve.WMax, 2.0 * rounding it)
    let wMax = if isReached then it.Window else it.Window * (1.0 + beta) / 2.0

    { it with
        Undo = remember 0 it
        Curve = { noCurve with WMax = wMax; Prior = it.Window }
        Threshold = threshold
        Window = max it.Window threshold
        HyStart = { it.HyStart with Rounds = 0 }
        Recovery = ValueSome { Until = sample.Delivered; Flight = max it.Segment flight } }

/// Over the acknowledgements of RecoverFS the window falls from ten sevenths of the threshold to it; what is lost leaves it at once.
let private fall acked lost it =
    match it.Recovery with
    | ValueSome recovery ->
        let part = (it.Threshold / beta - it.Threshold) * min 1.0 (acked / recovery.Flight)
        { it with Window = max it.Threshold (it.Window - part - lost) }
    | ValueNone -> it

let private acknowledged (sample: CongestionSample) (choices: Choices) it =
    let it = it |> startRound sample |> observeDelay sample choices

    let it =
        match it.Recovery with
        | ValueSome recovery when isSentAfter recovery.Until sample -> endRecovery it
        | _ -> it

    let it = if it.Recovery.IsSome then fall (float sample.Bytes) 0.0 it else grow sample choices it
    { it with SampledAt = seconds sample.Now }

let private lost (sample: CongestionSample) it =
    let packets = max 1 sample.LostPackets
    let undo = it.Undo |> ValueOption.map (fun undo -> { undo with Packets = undo.Packets + packets })
    fall 0.0 (float sample.LostBytes) { it with Undo = undo }

let private observe (sample: CongestionSample) choices it =
    let before = it.Window
    let it = if sample.Smoothed > 0L<us> then { it with RoundTrip = seconds sample.Smoothed } else it
    let it = arriveAfterAll sample.SpuriousPackets it
    let it = if sample.Bytes > 0 then acknowledged sample choices it else it
    let it = if sample.IsFirstLoss then reduce sample choices it else it
    let it = if sample.IsFirstLoss || sample.LostPackets > 0 then lost sample it else it

    if sample.Bytes = 0 && sample.SpuriousPackets = 0 then
        { it with Window = min before it.Window }
    else
        it

let private timeOut flight (choices: Choices) (it: State) =
    // RFC 5681, 3.1: of several time-outs in a row the first one sets the threshold.
    let isRepeated =
        it.Threshold < infinity && not (choices.Reaches(it.Window, it.Segment + 1.0, rounding it))

    let proof = max 1 (int (floor (floor (flight / it.Segment) / 2.0)))

    let it =
        if isRepeated then
            it
        else
            let threshold = max (2.0 * it.Segment) (beta * flight)
            { it with State.Undo = remember proof it; Threshold = threshold }

    { it with
        Curve = noCurve
        Window = it.Segment
        Recovery = ValueNone
        HyStart = { it.HyStart with Rounds = 0 } }

let private resize segment (it: State) =
    { it with
        Segment = segment
        Window = if segment > it.Segment then max it.Window (2.0 * segment) else it.Window
        Curve = { it.Curve with Epoch = ValueNone } }

let private restart now roundTrip (it: State) =
    let it = if roundTrip > 0.0 then { it with RoundTrip = roundTrip } else it
    { postpone (now - it.SampledAt) it with SampledAt = max now it.SampledAt }

let private pacingRate it =
    let gain = if it.Window < it.Threshold && it.HyStart.Rounds = 0 then 2.0 else 1.25
    if it.RoundTrip = 0.0 then infinity else gain * max it.Segment it.Window / it.RoundTrip

let private phase it =
    if it.Recovery.IsSome then "recovery"
    elif it.Window >= it.Threshold then "avoidance"
    elif it.HyStart.Rounds > 0 then "conservative-start"
    else "slow-start"

let private rules =
    { Window = fun it -> max it.Segment it.Window
      PacingRate = pacingRate
      Phase = phase
      IsLossTolerated = fun _ -> false
      Events = fun _ -> []
      Observe = observe
      TimedOut = timeOut
      Resized = resize
      Restarted = restart }

let start (from: CongestionStart) =
    let packet = float from.Packet
    let isNew = from.Window = 0
    // RFC 6928.
    let window = if isNew then 10.0 * packet else max packet (float from.Window)

    let state =
        { Segment = packet
          Window = window
          Threshold = if isNew then infinity else window
          RoundTrip = seconds from.RoundTrip
          SampledAt = 0.0
          Curve = noCurve
          Recovery = ValueNone
          Undo = ValueNone
          HyStart = { RoundEnd = 0L; Delay = infinity; LastDelay = infinity; Samples = 0; Rounds = 0; Baseline = 0.0 } }

    Twin(rules, state) :> ITwin
