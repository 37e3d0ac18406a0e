namespace UtpPunch.Protocol

/// BBR's model of the path, and its phases, as in draft-ietf-ccwg-bbr-06 (in parentheses: its sections), with three intentional
/// differences, all by what uTP's one-way delays tell (docs/congestion.md): random losses are told from those of a full queue; a round trip
/// that was measured without a queue is as good as a probe of it; and Startup and Up end when a queue shows.
module internal BbrModel =
    // Gains in 1/256 (5.6.1).
    [<Literal>]
    let private DoubleGain = 512

    [<Literal>]
    let private DrainGain = 128

    [<Literal>]
    let private DownGain = 230

    [<Literal>]
    let EvenGain = 256

    [<Literal>]
    let UpGain = 320

    [<Literal>]
    let private UpWindowGain = 576

    [<Literal>]
    let HalfGain = 128

    /// Nothing is left of the window below that (BBR.MinPipeCwnd).
    let leastPackets = 4

    /// The shares of losses that are too many (BBR.LossThresh: 2 %), and the most that counts as the path's own, in 2^-28.
    let lossThreshold = (1 <<< LossTolerance.ShareBits) / 50
    let private mostPathLoss = (1 <<< LossTolerance.ShareBits) / 20

    let private rttFilter = Time.seconds 10
    let rttProbeEvery = Time.seconds 5
    let rttProbeTime = Time.milliseconds 200

    let none = System.Int32.MaxValue

    /// Spread over the handshake's round trip, a first window may be larger than RFC 6928's (draft-kazuho-ccwg-rapid-start).
    let private firstPackets = 20

    let start packet : BbrState =
        { Phase = BbrPhase.Startup
          Packet = packet
          Window = firstPackets * packet
          Delivered = 0L
          RoundEnd = 0L
          Rounds = 0L
          RoundAcked = 0L
          RoundLost = 0L
          RoundRanges = 0
          RoundRate = 0L
          RoundQueue = Time.never
          LastRoundQueue = 0L<us>
          IsRoundEmpty = true
          WasRoundEmpty = true
          IsRoundPeerLimited = false
          CycleRate = 0L
          LastCycleRate = 0L
          LeastRtt = 0L<us>
          LeastRttAt = 0L<us>
          RecentRtt = 0L<us>
          RecentRttAt = 0L<us>
          ShortRate = System.Int64.MaxValue
          ShortFlight = none
          LongFlight = none
          ExtraAcked = 0
          LastExtraAcked = 0
          ExtraRound = 0L
          ExtraSince = 0L<us>
          ExtraBytes = 0L
          PathLoss = 0
          Judged = 256
          FullRate = 0L
          FullRounds = 0
          IsFull = false
          Queues = 0
          HeldRound = System.Int64.MaxValue
          Since = 0L<us>
          SinceRound = 0L
          ProbeAt = Time.never
          ProbeRound = 0L
          ProbedRate = 0L
          Growth = 1
          IsProbing = false
          WasTooHigh = false
          ProbeRttSince = Time.never
          ProbeRttRound = 0L
          WindowBefore = 0
          Random = 0u }

    // ---- What follows from the model ----

    let maxRate (it: BbrState) = max it.CycleRate it.LastCycleRate

    /// The rate that the model believes in (BBR.bw).
    let rate (it: BbrState) = min (maxRate it) it.ShortRate

    let toInt (value: int64) = int (min (int64 none) value)

    /// The bytes that fill the path at its rate, times a gain (BBR.bdp).
    let bdp gain (it: BbrState) = toInt (rate it * int64 it.LeastRtt / 1_000_000L * int64 gain >>> 8)

    let isKnown (it: BbrState) = maxRate it > 0L && it.LeastRtt > 0L<us>

    let private pacingGain (it: BbrState) =
        match it.Phase with
        | BbrPhase.Drain -> DrainGain
        | BbrPhase.Down -> DownGain
        | BbrPhase.Up -> UpGain
        | _ -> EvenGain

    let windowGain (it: BbrState) =
        match it.Phase with
        | BbrPhase.Up -> UpWindowGain
        | BbrPhase.ProbeRtt -> HalfGain
        | _ -> DoubleGain

    /// The pacing rate: a hundredth less than the model's, so that queues drain (BBR.PacingMarginPercent).
    let pacingRate (it: BbrState) =
        if it.LeastRtt = 0L<us> then
            System.Int64.MaxValue
        elif it.Phase = BbrPhase.Startup then
            // The window, which is twice or three times what has arrived in the last round trip, within four fifths of the next.
            max 1L (int64 it.Window * 1_250_000L / int64 it.LeastRtt)
        else
            // Never less than the smallest window in a round trip, or a single bad round might stop the stream for long.
            let least = int64 (leastPackets * it.Packet) * 1_000_000L / int64 it.LeastRtt

            max
                (max 1L least)
                ((rate it * int64 (pacingGain it) >>> 8) * (if it.IsRoundEmpty then 100L else 99L) / 100L)

    /// A part of the long-term bound is left to other flows (BBR.Headroom: 15 %).
    let withHeadroom flight = if flight = none then none else int (int64 flight * 85L / 100L)

    // ---- Learning ----

    let share (part: int64) (whole: int64) = if whole <= 0L then 0L else (part <<< LossTolerance.ShareBits) / whole

    /// Losses while no queue shows, at no more than the path's rate, are the path's own.
    let learnPathLoss (sample: inref<CongestionSample>) (it: BbrState) =
        let isCalm =
            match it.Phase with
            | BbrPhase.Startup -> sample.IsQueueEmpty && it.IsRoundEmpty && it.WasRoundEmpty
            | BbrPhase.Down
            | BbrPhase.Cruise
            | BbrPhase.ProbeRtt -> sample.IsQueueEmpty
            | _ -> false

        if isCalm then
            // Over the last 1024 packets, and at first over all, as if 256 had arrived before.
            let packets = sample.Packets + sample.LostPackets
            it.Judged <- min 1024 (it.Judged + packets)
            let weight = int64 (max it.Judged packets)
            let faded = int64 it.PathLoss - int64 it.PathLoss * int64 packets / weight
            let lost = (int64 sample.LostPackets <<< LossTolerance.ShareBits) / weight
            it.PathLoss <- int (min (int64 mostPathLoss) (faded + lost))

    let observeRtt (sample: inref<CongestionSample>) (it: BbrState) =
        let now = sample.Now

        if sample.Least > it.LeastRtt then
            // The path has become longer.
            it.LeastRtt <- sample.Least
            it.LeastRttAt <- now
            it.RecentRtt <- sample.Least
            it.RecentRttAt <- now

        let rtt = sample.RoundTrip

        if rtt > 0L<us> then
            if rtt <= it.RecentRtt || it.RecentRtt = 0L<us> || now - it.RecentRttAt > rttProbeEvery then
                it.RecentRtt <- rtt
                it.RecentRttAt <- now

            if it.RecentRtt <= it.LeastRtt || it.LeastRtt = 0L<us> || now - it.LeastRttAt > rttFilter then
                it.LeastRtt <- it.RecentRtt
                it.LeastRttAt <- it.RecentRttAt

        // Without a queue, any round trip is as short as a probe would find it.
        if sample.HasQueueing && sample.IsQueueEmpty && rtt > 0L<us> then
            it.LeastRttAt <- now
            it.RecentRttAt <- now

    /// Acknowledgements that come together look like a higher rate: the window has to allow for them (5.5.9).
    let observeAggregation (sample: inref<CongestionSample>) (it: BbrState) =
        let expected = rate it * int64 (sample.Now - it.ExtraSince) / 1_000_000L

        if it.ExtraBytes <= expected || it.ExtraSince = 0L<us> then
            it.ExtraBytes <- 0L
            it.ExtraSince <- sample.Now

        let expected = rate it * int64 (sample.Now - it.ExtraSince) / 1_000_000L
        it.ExtraBytes <- it.ExtraBytes + int64 sample.Bytes
        let extra = max 0L (it.ExtraBytes - expected)
        let extra = toInt (min extra (min (int64 it.Window) (rate it / 10L)))
        let half = if it.IsFull then 5L else 1L

        if it.Rounds - it.ExtraRound >= half then
            it.LastExtraAcked <- it.ExtraAcked
            it.ExtraAcked <- 0
            it.ExtraRound <- it.Rounds

        it.ExtraAcked <- max it.ExtraAcked extra

    /// RFC 9406: eight samples, of an eighth of the round trip, but from 4 to 16 ms.
    let observeQueue (sample: inref<CongestionSample>) (it: BbrState) =
        let threshold = max (Time.milliseconds 4) (min (Time.milliseconds 16) (it.LeastRtt / 8L))
        it.Queues <- if sample.HasQueueing && sample.Queueing >= threshold then it.Queues + 1 else 0
        if it.Queues >= 8 then it.HeldRound <- min it.HeldRound it.Rounds
