/// LEDBAT++ in floating point: draft-irtf-iccrg-ledbat-plus-plus with the differences that docs/congestion.md lists. Windows are in bytes,
/// times in seconds, shares are fractions.
module UtpPunch.Protocol.Tests.LedbatTwin

open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Twin

/// Losses as shares of the last 1024 packets: with and without what was answered. A queue that overflows loses several at a time.
type private Losses = { Share: float; Fresh: float; IsScattered: bool; IsQueueEmpty: bool }

/// A round trip: what has to be delivered before its end, its least delay and that of the one before, and those in a row without a queue.
type private Round = { End: int64; Delay: float; LastDelay: float; IsUsed: bool; Free: int }

/// When the next slowdown is due, when this one has begun, and the factor for the time between two.
type private Slowdown = { At: float; Since: float voption; Spacing: float }

type private State =
    {
        Segment: float
        Smallest: float
        Target: float
        /// What acknowledgements have earned, and what may be in flight without that.
        Earned: float
        Lent: float
        /// ssthresh; infinite before the first congestion event.
        Threshold: float
        /// The window that the path was full with.
        Full: float
        /// What has to be delivered before delays are those of the present window.
        Settled: int64
        RoundTrip: float
        Round: Round
        Slowdown: Slowdown
        Losses: Losses
        IsTolerated: bool
        /// What the last call has done, for `Tally`.
        Events: string list
    }

/// The core's windows are in 1/1024 byte, and it divides by whole bytes; that adds up between two congestion events.
let private rounding (it: State) = 2.0 + 1e-3 * it.Earned

/// Delays are in whole microseconds in both.
let private exact = 1e-9

/// Whole parts of 2^28, over 1024 packets.
let private shareRounding = 1024.0 / 268435456.0

let private tolerable = 0.02

let private window (it: State) = max it.Earned (max it.Lent it.Segment)
let private isFirst (it: State) = it.Threshold = infinity
let private isSlowStart (it: State) = window it < it.Threshold
let private isSlowedDown (it: State) = it.Slowdown.Since.IsSome
let private has event (it: State) = { it with Events = event :: it.Events }
let private atLeast segments (it: State) = { it with Earned = max (segments * it.Smallest) it.Earned }

/// The draft: "GAIN = 1 / (min (16, CEIL (2*TARGET/base)))".
let private gain (sample: CongestionSample) (it: State) =
    let trip = seconds sample.Least

    if not sample.HasQueueing || trip = 0.0 then
        1.0
    else
        1.0 / max 1.0 (min 16.0 (ceil (2.0 * it.Target / trip - exact)))

// ---- Slowdowns ----

let private plan now trips (it: State) =
    if it.Slowdown.At < infinity then
        it
    else
        { it with Slowdown = { it.Slowdown with At = now + trips * it.RoundTrip } }

/// The next one after nine times the duration of this one, of which its silence is two round trips.
let private endSlowdown now (it: State) =
    match it.Slowdown.Since with
    | ValueNone -> it
    | ValueSome since ->
        let between = max (9.0 * (now - since)) (9.0 * 2.0 * it.RoundTrip)

        { it with
            Slowdown = { it.Slowdown with At = now + it.Slowdown.Spacing * between; Since = ValueNone } }

let private beginSlowdown now (choices: Choices) (it: State) =
    let isKept = choices.Reaches(it.Earned, it.Full / 2.0, rounding it)
    let spacing = if isKept then min 2.0 (2.0 * it.Slowdown.Spacing) else 1.0

    has
        $"slowdown, spacing {spacing}"
        { it with
            Threshold = it.Earned
            Earned = 2.0 * it.Segment
            Lent = 0.0
            Slowdown = { it.Slowdown with Since = ValueSome now; Spacing = spacing } }

let private isDue (sample: CongestionSample) isUsed (choices: Choices) (it: State) =
    isUsed
    && sample.HasQueueing
    && not (isSlowedDown it)
    && not (isSlowStart it)
    && choices.Reaches(seconds sample.Now, it.Slowdown.At, microsecond)
    && choices.Exceeds(it.Earned, 4.0 * it.Segment, rounding it)

// ---- Growth ----

let private observeRound (sample: CongestionSample) queueing isUsed (choices: Choices) (it: State) =
    let round =
        { it.Round with
            Delay = min it.Round.Delay queueing
            IsUsed = it.Round.IsUsed || isUsed && sample.HasQueueing }

    if sample.PriorDelivered < round.End || sample.PriorDelivered >= sample.Delivered then
        { it with Round = round }
    else
        let isFree = round.IsUsed && not (choices.Exceeds(round.Delay, it.Target / 4.0, exact))
        let free = if isFree then round.Free + 1 else 0

        let it =
            { it with
                Round =
                    { End = sample.Delivered; Delay = infinity; LastDelay = round.Delay; IsUsed = false; Free = free } }

        if free >= 8 && not (isSlowStart it) && choices.Exceeds(it.Full, it.Earned, rounding it) then
            has "back to the full window" { it with Threshold = it.Full }
        else
            it

/// A packet each round trip times GAIN; more packets for each eight round trips without a queue, at most 16 and a thirty-second of the window.
let private increase (sample: CongestionSample) (choices: Choices) (it: State) =
    let size = window it

    let packets =
        if it.Round.Free < 16 then
            1.0
        else
            let most = choices.Floor(size / it.Segment / 32.0, rounding it / it.Segment / 32.0)
            max 1.0 (min (min 16.0 most) (float (it.Round.Free / 8)))

    let it = if packets > 1.0 then has "faster growth" it else it
    struct (packets * gain sample it * it.Segment * float sample.Bytes / size, it)

/// The draft, with Constant = 1: W * (delay/target - 1) each round trip, and half of the window at most; when the delay has lasted for one.
let private decrease (sample: CongestionSample) queueing (it: State) =
    if sample.PriorDelivered < it.Settled then
        0.0
    else
        let standing = min queueing (min it.Round.Delay it.Round.LastDelay)
        max 0.0 (min 0.5 (standing / it.Target - 1.0)) * float sample.Bytes

let private avoid (sample: CongestionSample) queueing (choices: Choices) (it: State) =
    let struct (more, it) = increase sample choices it
    let less = decrease sample queueing it
    let it = atLeast 2.0 { it with Earned = it.Earned + more - less }

    let it =
        if choices.Exceeds(less, more, 0.01) then
            has "decrease" { it with Lent = 0.0; Threshold = min it.Threshold it.Earned }
        else
            it

    if choices.Reaches(queueing, 0.75 * it.Target, exact) then
        { it with Full = max it.Full it.Earned }
    else
        it

/// The path holds the rate times the round trip, and the target.
let private leaveSlowStart (sample: CongestionSample) (it: State) =
    let now = seconds sample.Now
    let isMeasured = sample.DeliveryRate > 0L && not sample.IsAppLimited
    let held = float sample.DeliveryRate * (seconds sample.Least + it.Target)
    let full = if isMeasured then min it.Earned held else it.Earned
    let it = { it with Full = (if isFirst it then full else max full (7.0 / 8.0 * it.Full)) }
    let it = atLeast 2.0 { it with Earned = full }

    has
        (if isMeasured then "slow start left at the rate" else "slow start left at its window")
        ({ it with Threshold = window it; Settled = sample.Delivered } |> endSlowdown now |> plan now 2.0)

let private slowStart (sample: CongestionSample) queueing (choices: Choices) (it: State) =
    let isCareful = isFirst it && choices.Exceeds(queueing, it.Target / 4.0, exact)
    // Only the first one is slower than Reno's.
    let gain = if isFirst it then gain sample it else 1.0
    let growth = (if isCareful then 0.25 else 1.0) * gain * float sample.Bytes
    let grown = it.Earned + growth

    if choices.Reaches(grown, it.Threshold, rounding it) then
        endSlowdown (seconds sample.Now) (atLeast 1.0 { it with Earned = it.Threshold })
    else
        atLeast 1.0 { it with Earned = min grown (System.Math.BitDecrement it.Threshold) }

let private grow (sample: CongestionSample) queueing (choices: Choices) (it: State) =
    if not (isSlowStart it) then
        avoid sample queueing choices it
    elif choices.Reaches(queueing, (if isFirst it then 0.75 else 1.0) * it.Target, exact) then
        leaveSlowStart sample it |> avoid sample queueing choices
    elif sample.IsRttInflated && isFirst it then
        has "a slow reader" (avoid sample queueing choices it)
    else
        slowStart sample queueing choices it

// ---- Losses ----

let private fade packets share = share * (1.0 - min 1.0 (float packets / 1024.0))

let private acknowledged (sample: CongestionSample) (choices: Choices) (it: State) =
    let losses = it.Losses

    let it =
        { it with
            RoundTrip = if sample.Smoothed > 0L<us> then seconds sample.Smoothed else it.RoundTrip
            IsTolerated = false
            Losses =
                { losses with
                    Share = fade sample.Packets losses.Share
                    Fresh = fade sample.Packets losses.Fresh
                    IsQueueEmpty = sample.IsQueueEmpty } }

    let queueing = if sample.HasQueueing then seconds sample.Queueing else 0.0
    let used = float sample.FlightBefore + 3.0 * it.Segment
    let isUsed = sample.IsWindowLimited || choices.Reaches(used, window it, rounding it)
    let it = observeRound sample queueing isUsed choices it
    let now = seconds sample.Now
    let it = if isFirst it then it else plan now 18.0 it

    let isSilent =
        match it.Slowdown.Since with
        | ValueSome since -> not (choices.Reaches(now, since + 2.0 * it.RoundTrip, microsecond))
        | ValueNone -> false

    if isSilent then it
    elif isDue sample isUsed choices it then beginSlowdown now choices it
    elif isUsed then grow sample queueing choices it
    elif choices.Exceeds(queueing, it.Target, exact) then avoid sample queueing choices it
    else it

let private halve now (choices: Choices) (it: State) =
    let two = 2.0 * it.Segment
    let it = { it with Full = max (it.Earned / 2.0) (0.75 * it.Full) }

    let it =
        if isSlowedDown it then
            let it = has "halved in a slowdown" { it with Threshold = max two (it.Threshold / 2.0) }
            if choices.Reaches(it.Earned, it.Threshold, rounding it) then endSlowdown now it else it
        else
            let threshold = max two (window it / 2.0)
            has "halved" (atLeast 2.0 { it with Threshold = threshold; Earned = it.Earned / 2.0; Lent = two })

    { it with Losses = { it.Losses with Fresh = min it.Losses.Fresh (tolerable / 2.0) } }

/// The path's own losses: at most 2 % since the last answer and 4 % of all, one by one, without a queue.
let private isOfPath (choices: Choices) (it: State) =
    let losses = it.Losses

    losses.IsQueueEmpty
    && losses.IsScattered
    && not (choices.Exceeds(losses.Fresh, tolerable, shareRounding))
    && not (choices.Exceeds(losses.Share, 2.0 * tolerable, shareRounding))

let private missed (sample: CongestionSample) (choices: Choices) (it: State) =
    let lost = sample.LostPackets
    let add share = fade lost share + min 1.0 (float lost / 1024.0)
    let packets = window it / it.Segment

    let isScattered =
        lost <= 2 || choices.Reaches(packets / 32.0, float (lost - 2), rounding it / it.Segment / 32.0)

    let it =
        { it with
            IsTolerated = false
            Losses =
                { it.Losses with
                    Share = add it.Losses.Share
                    Fresh = add it.Losses.Fresh
                    IsScattered = isScattered } }

    if not sample.IsFirstLoss then
        it
    elif sample.HasSack && isOfPath choices it then
        has "tolerated" { it with IsTolerated = true }
    else
        halve (seconds sample.Now) choices it

let private observe (sample: CongestionSample) choices (it: State) =
    let it = { it with Events = (if sample.HasQueueing then [] else [ "without delays" ]) }
    let it = if sample.Bytes > 0 then acknowledged sample choices it else it
    if sample.LostPackets > 0 || sample.IsFirstLoss then missed sample choices it else it

/// RFC 5681, 3.1: of several in a row the first one sets the threshold.
let private timeOut flight (choices: Choices) (it: State) =
    // A window of whole bytes is one packet.
    let isSmall = not (choices.Reaches(window it, it.Segment + 1.0, 0.9))
    let isRepeated = isSmall && not (isFirst it)
    let before = if isSlowedDown it then max (window it) it.Threshold else window it
    let threshold = max (2.0 * it.Segment) (max flight before / 2.0)

    { it with
        Threshold = if isRepeated then it.Threshold else threshold
        Earned = it.Smallest
        Lent = 0.0
        IsTolerated = false
        Slowdown = { it.Slowdown with Since = ValueNone; At = infinity }
        Events = [ (if isRepeated then "repeated time-out" else "time-out") ] }

let private resize segment (it: State) =
    { it with
        Segment = segment
        Smallest = min segment it.Smallest
        Lent = if segment > it.Segment then 2.0 * segment else min it.Lent (2.0 * segment)
        Events = [] }

let private restart now _ (it: State) =
    let it = { it with Events = [] }

    if isSlowedDown it || it.Slowdown.At = infinity then
        it
    else
        { it with Slowdown = { it.Slowdown with At = max it.Slowdown.At (now + 18.0 * it.RoundTrip) } }

let private pacingRate (it: State) =
    let gain = if isSlowStart it then 2.0 else 1.25
    if it.RoundTrip = 0.0 then infinity else gain * window it / it.RoundTrip

let private phase (it: State) =
    if isSlowedDown it then "slowdown"
    elif isSlowStart it then "slow-start"
    else "avoidance"

let private rules =
    { Window = window
      PacingRate = pacingRate
      Phase = phase
      IsLossTolerated = _.IsTolerated
      Events = _.Events
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
          Smallest = packet
          Target = seconds from.TargetDelay
          Earned = window
          Lent = 0.0
          Threshold = if isNew then infinity else window
          Full = 0.0
          Settled = 0L
          RoundTrip = seconds from.RoundTrip
          Round = { End = 0L; Delay = infinity; LastDelay = 0.0; IsUsed = false; Free = 0 }
          Slowdown = { At = infinity; Since = ValueNone; Spacing = 1.0 }
          Losses = { Share = tolerable / 2.0; Fresh = tolerable / 2.0; IsScattered = true; IsQueueEmpty = false }
          IsTolerated = false
          Events = [] }

    Twin(rules, state) :> ITwin
