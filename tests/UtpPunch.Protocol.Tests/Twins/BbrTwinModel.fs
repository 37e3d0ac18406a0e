/// BBR's model of the path in floating point, as in draft-ietf-ccwg-bbr-06 with the differences that docs/congestion.md lists. Windows are
/// in bytes, rates in bytes per second, times in seconds, shares are fractions.
module UtpPunch.Protocol.Tests.BbrTwinModel

open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Twin

type internal Mode =
    | Startup
    | Drain
    | Down
    | Cruise
    | Refill
    | Up
    | ProbeRtt

/// Sums over a round trip.
type internal Round =
    {
        Acked: float
        Lost: float
        Ranges: int
        Rate: float
        /// The least queueing delay.
        Queue: float
        IsEmpty: bool
        IsPeerLimited: bool
    }

let internal noRound =
    { Acked = 0.0
      Lost = 0.0
      Ranges = 0
      Rate = 0.0
      Queue = infinity
      IsEmpty = true
      IsPeerLimited = false }

/// A least value, and when it was measured.
type internal Least = { Value: float; At: float }

/// What is acknowledged above the rate, since an instant, and the most of it in this span of rounds and the one before.
type internal Extra = { Since: Instant voption; Bytes: float; Most: float; Before: float; Round: int64 }

type internal State =
    {
        Mode: Mode
        Since: float
        SinceRound: int64
        Segment: float
        Cwnd: float
        Rounds: int64
        /// What has to be delivered when the packet is sent that ends the round.
        RoundEnd: int64
        Round: Round
        WasEmpty: bool
        /// The least queueing delay of the last round.
        LastQueue: float
        /// BBR.max_bw, of this cycle and the last; BBR.bw_shortterm, inflight_shortterm, inflight_longterm: infinite for none.
        CycleBw: float
        LastBw: float
        ShortBw: float
        ShortFlight: float
        LongFlight: float
        MinRtt: Least
        ProbeRttMin: Least
        Extra: Extra
        PathLoss: float
        Judged: float
        /// BBR.full_bw, full_bw_count and full_bw_reached.
        FullBw: float
        FullCount: int
        IsFull: bool
        Queues: int
        HeldRound: int64 voption
        ProbeAt: float
        ProbeRound: int64
        ProbeBw: float
        UpPackets: float
        IsSampling: bool
        ProbeRttDone: struct (float * int64) voption
        PriorCwnd: float
        Random: uint32
    }

/// The core's bytes and rates are whole, and what it computes from them: a product of three has lost no more than a few.
let internal rounding = 4.0

/// Whole parts of 2^28, over 1024 packets: what one of them rounds away adds up.
let internal shareRounding = 1024.0 / 268435456.0

let private lossThreshold = 0.02
let internal maxBw it = max it.CycleBw it.LastBw
let internal bw it = min (maxBw it) it.ShortBw
let internal bdp gain it = gain * bw it * it.MinRtt.Value
let internal fourPackets it = 4.0 * it.Segment
let internal headroom flight = 0.85 * flight

/// 5.6.1, and 5.6.2 with a margin of 1 %.
let internal pacingRate it =
    let gain =
        match it.Mode with
        | Drain -> 0.5
        | Down -> 0.9
        | Up -> 1.25
        | _ -> 1.0

    let margin = if it.Round.IsEmpty then 1.0 else 0.99

    if it.MinRtt.Value = 0.0 then infinity
    elif it.Mode = Startup then it.Cwnd / (0.8 * it.MinRtt.Value)
    else max (fourPackets it / it.MinRtt.Value) (gain * margin * bw it)

let internal enter mode now it = { it with Mode = mode; Since = now; SinceRound = it.Rounds }

let internal isTooLossy lost delivered isEmpty (choices: Choices) it =
    let sent = lost + delivered
    let threshold = (if isEmpty then 3.0 else 1.0) * (lossThreshold + it.PathLoss)

    sent > 0.0
    && choices.Exceeds(lost / sent, threshold, (if isEmpty then 3.0 else 1.0) * shareRounding)

// ---- The model ----

let internal learnPathLoss (sample: CongestionSample) it =
    let isCalm =
        match it.Mode with
        | Startup -> it.Round.IsEmpty && it.WasEmpty
        | Down
        | Cruise
        | ProbeRtt -> sample.IsQueueEmpty
        | Drain
        | Refill
        | Up -> false

    if not isCalm then
        it
    else
        let lost = float sample.LostPackets
        let packets = float sample.Packets + lost
        let judged = min 1024.0 (it.Judged + packets)
        let weight = packets / max judged packets
        let share = if packets > 0.0 then lost / packets else 0.0
        { it with Judged = judged; PathLoss = min 0.05 (it.PathLoss + weight * (share - it.PathLoss)) }

/// 5.5.7: the least round trip of ten seconds, and that of five.
let internal observeRtt (sample: CongestionSample) (choices: Choices) it =
    let now = seconds sample.Now
    let isOld span (least: Least) = choices.Exceeds(now - least.At, span, microsecond)
    let least = seconds sample.Least

    let it =
        if least > it.MinRtt.Value then
            { it with MinRtt = { Value = least; At = now }; ProbeRttMin = { Value = least; At = now } }
        else
            it

    let rtt = seconds sample.RoundTrip

    if rtt = 0.0 then
        it
    else
        let recent =
            if it.ProbeRttMin.Value = 0.0 || rtt <= it.ProbeRttMin.Value || isOld 5.0 it.ProbeRttMin then
                { Value = rtt; At = now }
            else
                it.ProbeRttMin

        let least =
            if it.MinRtt.Value = 0.0 || recent.Value <= it.MinRtt.Value || isOld 10.0 it.MinRtt then
                recent
            else
                it.MinRtt

        if sample.HasQueueing && sample.IsQueueEmpty then
            { it with ProbeRttMin = { recent with At = now }; MinRtt = { least with At = now } }
        else
            { it with ProbeRttMin = recent; MinRtt = least }

let internal observeRate (sample: CongestionSample) it =
    let rate = float sample.DeliveryRate

    if rate = 0.0 then
        it
    else
        let counts = not sample.IsAppLimited || rate >= maxBw it

        { it with
            Round = { it.Round with Rate = max it.Round.Rate rate }
            CycleBw = if counts then max it.CycleBw rate else it.CycleBw }

let internal observeQueue (sample: CongestionSample) (choices: Choices) it =
    if it.Mode <> Startup then
        it
    else
        let isLong =
            sample.HasQueueing
            && choices.Reaches(seconds sample.Queueing, hystartMargin it.MinRtt.Value, microsecond)

        let queues = if isLong then it.Queues + 1 else 0
        let held = if queues >= 8 && it.HeldRound.IsNone then ValueSome it.Rounds else it.HeldRound
        { it with Queues = queues; HeldRound = held }

/// 5.5.9.
let internal observeAggregation (sample: CongestionSample) (choices: Choices) it =
    let now = sample.Now
    let extra = it.Extra
    // A product of two whole numbers is exact: many histories have as much as the rate gives, to the byte.
    let expected (since: Instant) = bw it * float (int64 (now - since)) / 1e6
    let inexact = if bw it = floor (bw it) then 0.0 else rounding

    let since, bytes =
        match extra.Since with
        | ValueSome since when choices.Exceeds(extra.Bytes, expected since, inexact) -> since, extra.Bytes
        | _ -> now, 0.0

    let bytes = bytes + float sample.Bytes
    let above = max 0.0 (bytes - expected since)
    let above = min above (min it.Cwnd (0.1 * bw it))
    let span = if it.IsFull then 5L else 1L
    let isOver = it.Rounds - extra.Round >= span

    { it with
        Extra =
            { Since = ValueSome since
              Bytes = bytes
              Most = if isOver then above else max extra.Most above
              Before = if isOver then extra.Most else extra.Before
              Round = if isOver then it.Rounds else extra.Round } }

let internal nothing segment =
    let none = { Value = 0.0; At = 0.0 }

    { Mode = Startup
      Since = 0.0
      SinceRound = 0L
      Segment = segment
      Cwnd = 20.0 * segment
      Rounds = 0L
      RoundEnd = 0L
      Round = noRound
      WasEmpty = true
      LastQueue = 0.0
      CycleBw = 0.0
      LastBw = 0.0
      ShortBw = infinity
      ShortFlight = infinity
      LongFlight = infinity
      MinRtt = none
      ProbeRttMin = none
      Extra = { Since = ValueNone; Bytes = 0.0; Most = 0.0; Before = 0.0; Round = 0L }
      PathLoss = 0.0
      Judged = 256.0
      FullBw = 0.0
      FullCount = 0
      IsFull = false
      Queues = 0
      HeldRound = ValueNone
      ProbeAt = infinity
      ProbeRound = 0L
      ProbeBw = 0.0
      UpPackets = 1.0
      IsSampling = false
      ProbeRttDone = ValueNone
      PriorCwnd = 0.0
      Random = 0u }
