namespace UtpPunch.Protocol

/// BBR's model of the path, and its phases, as in draft-ietf-ccwg-bbr-06 (in parentheses: its sections), with three intentional
/// differences, all by what uTP's one-way delays tell (docs/congestion.md): random losses are told from those of a full queue; a round trip
/// that was measured without a queue is as good as a probe of it; and Startup and Up end when a queue shows.
module internal BbrModel =
    // Gains in 1/256 (5.6.1).
    [<Literal>]
    let private StartupGain = 710

    [<Literal>]
    let private DoubleGain = 512

    [<Literal>]
    let private DrainGain = 128

    [<Literal>]
    let private DownGain = 230

    [<Literal>]
    let private EvenGain = 256

    [<Literal>]
    let private UpGain = 320

    [<Literal>]
    let private UpWindowGain = 576

    [<Literal>]
    let private HalfGain = 128

    /// Nothing is left of the window below that (BBR.MinPipeCwnd).
    let private leastPackets = 4

    /// The shares of losses that are too many (BBR.LossThresh: 2 %), and the most that counts as noise, in 2^-20.
    let private lossThreshold = (1 <<< 20) / 50
    let private mostNoise = (1 <<< 20) / 20

    let private rttFilter = Time.seconds 10
    let private rttProbeEvery = Time.seconds 5
    let private rttProbeTime = Time.milliseconds 200

    let none = System.Int32.MaxValue

    /// RFC 6928's first window.
    let start packet : BbrState =
        { Phase = BbrPhase.Startup
          Packet = packet
          Window = 10 * packet
          RoundEnd = 0L
          Rounds = 0L
          RoundAcked = 0L
          RoundLost = 0L
          RoundRanges = 0
          RoundQueues = 0
          RoundRate = 0L
          IsRoundEmpty = true
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
          Noise = 0
          FullRate = 0L
          FullRounds = 0
          IsFull = false
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

    let private toInt (value: int64) = int (min (int64 none) value)

    /// The bytes that fill the path at its rate, times a gain (BBR.bdp).
    let bdp gain (it: BbrState) =
        toInt (rate it * int64 it.LeastRtt / 1_000_000L * int64 gain >>> 8)

    let private isKnown (it: BbrState) = maxRate it > 0L && it.LeastRtt > 0L<us>

    let private pacingGain (it: BbrState) =
        match it.Phase with
        | BbrPhase.Startup -> StartupGain
        | BbrPhase.Drain -> DrainGain
        | BbrPhase.Down -> DownGain
        | BbrPhase.Up -> UpGain
        | _ -> EvenGain

    let private windowGain (it: BbrState) =
        match it.Phase with
        | BbrPhase.Up -> UpWindowGain
        | BbrPhase.ProbeRtt -> HalfGain
        | _ -> DoubleGain

    /// The pacing rate: a hundredth less than the model's, so that queues drain (BBR.PacingMarginPercent).
    let pacingRate (it: BbrState) =
        if maxRate it > 0L then
            max 1L (rate it * int64 (pacingGain it) >>> 8) * 99L / 100L
        elif it.LeastRtt > 0L<us> then
            // Only the handshake's round trip is known: the first window in the time that it takes (5.6.2).
            int64 it.Window * 1_000_000L / int64 it.LeastRtt * int64 StartupGain >>> 8
        else
            System.Int64.MaxValue

    /// A part of the long-term bound is left to other flows (BBR.Headroom: 15 %).
    let private withHeadroom flight = if flight = none then none else int (int64 flight * 85L / 100L)

    // ---- Learning ----

    let private share (part: int64) (whole: int64) = if whole <= 0L then 0L else (part <<< 20) / whole

    /// Losses while no queue shows, at no more than the path's rate, are the path's own.
    let private learnNoise (sample: inref<CongestionSample>) (it: BbrState) =
        let isCalm =
            match it.Phase with
            | BbrPhase.Down
            | BbrPhase.Cruise
            | BbrPhase.ProbeRtt -> sample.IsQueueEmpty
            | _ -> false

        if isCalm then
            let packets = min 1024 (sample.Packets + sample.LostPackets)
            let faded = it.Noise - int (int64 it.Noise * int64 packets / 1024L)
            it.Noise <- min mostNoise (faded + (min 1024 sample.LostPackets <<< 20) / 1024)

    let private observeRtt (sample: inref<CongestionSample>) (it: BbrState) =
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
    let private observeAggregation (sample: inref<CongestionSample>) (it: BbrState) =
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

    // ---- Phases ----

    let private enter phase (now: Instant) (it: BbrState) =
        it.Phase <- phase
        it.Since <- now
        it.SinceRound <- it.Rounds

    let private draw (it: BbrState) =
        it.Random <- it.Random * 1664525u + 1013904223u
        it.Random >>> 8

    let private resetShort (it: BbrState) =
        it.ShortRate <- System.Int64.MaxValue
        it.ShortFlight <- none

    /// Probes come after two to three seconds, or after as many rounds as a Reno flow needs to recover, 63 at most (5.3.3.5.2).
    let private startDown (now: Instant) (it: BbrState) =
        let packets = int64 (bdp EvenGain it / max 1 it.Packet)
        it.ProbeAt <- now + Time.seconds 2 + Time.microseconds (int64 (draw it % 1_000_000u))
        it.ProbeRound <- it.Rounds + max 1L (min 63L packets - int64 (draw it % 2u))
        it.IsProbing <- true
        it.Growth <- 1
        enter BbrPhase.Down now it

    let private startRefill (now: Instant) (it: BbrState) =
        resetShort it
        it.WasTooHigh <- false
        enter BbrPhase.Refill now it

    let private startUp (now: Instant) (it: BbrState) =
        it.ProbedRate <- maxRate it
        it.FullRounds <- 0
        it.IsProbing <- true
        enter BbrPhase.Up now it

    let private isProbeDue (now: Instant) (it: BbrState) = now >= it.ProbeAt || it.Rounds >= it.ProbeRound

    /// Whether losses are more than the path's own and 2 % besides. Without a queue they would have to be many: then a policer drops.
    let private isTooMuch lost sent isEmpty (it: BbrState) =
        let allowed = int64 (lossThreshold + it.Noise)
        share lost sent > (if isEmpty then 3L * allowed else allowed)

    /// The path does not hold what is in flight: the long-term bound is what was in flight when it showed (5.5.10.2).
    let private boundLong (sample: inref<CongestionSample>) (it: BbrState) =
        it.WasTooHigh <- true

        if not sample.IsAppLimited then
            let least = toInt (int64 (bdp EvenGain it) * 7L / 10L)
            it.LongFlight <- max sample.SentFlight (max least (leastPackets * it.Packet))

    let private leaveStartup (it: BbrState) =
        it.IsFull <- true
        it.FullRounds <- 0

    /// At the end of a round in Startup: whether the rate grows no more, or losses or a queue show that the path is full (5.3.1).
    let private judgeStartup (sample: inref<CongestionSample>) (it: BbrState) =
        let grows = maxRate it >= it.FullRate + it.FullRate / 4L

        let isLossy =
            it.RoundRanges >= 6
            && isTooMuch it.RoundLost (it.RoundLost + it.RoundAcked) it.IsRoundEmpty it

        if isLossy then
            it.LongFlight <- max (bdp EvenGain it) (toInt it.RoundAcked)
            leaveStartup it
        elif grows then
            it.FullRate <- maxRate it
            it.FullRounds <- 0
        elif not sample.IsAppLimited && not it.IsRoundPeerLimited then
            it.FullRounds <- it.FullRounds + 1
            // RFC 9406's eight samples.
            if it.FullRounds >= 3 || it.RoundQueues >= 8 then leaveStartup it

    /// At the end of a round with losses outside of probes: the short-term bounds follow the path down (5.5.10.3).
    let private adaptShort isEmpty (it: BbrState) =
        let sent = it.RoundLost + it.RoundAcked
        let ofNoise = 2L * (int64 it.Noise * sent >>> 20) + 2L * int64 it.Packet

        if it.RoundLost > ofNoise && (not isEmpty || isTooMuch it.RoundLost sent true it) then
            let before = if it.ShortRate = System.Int64.MaxValue then maxRate it else it.ShortRate
            it.ShortRate <- max (min before it.RoundRate) (before * 7L / 10L)
            let flight = if it.ShortFlight = none then it.Window else it.ShortFlight
            it.ShortFlight <- max (toInt (min (int64 flight) it.RoundAcked)) (toInt (int64 flight * 7L / 10L))

    let private endRound (sample: inref<CongestionSample>) (it: BbrState) =
        match it.Phase with
        | BbrPhase.Startup -> judgeStartup &sample it
        | BbrPhase.Down
        | BbrPhase.Cruise
        | BbrPhase.Drain
        | BbrPhase.ProbeRtt -> adaptShort it.IsRoundEmpty it
        | BbrPhase.Up ->
            // The long-term bound grows by 1, 2, 4 and so on packets a round while it limits.
            if it.LongFlight < none && sample.IsWindowLimited && it.Window >= it.LongFlight then
                it.LongFlight <- toInt (int64 it.LongFlight + int64 it.Growth * int64 it.Packet)
                it.Growth <- min 4096 (2 * it.Growth)

            if maxRate it >= it.ProbedRate + it.ProbedRate / 4L then
                it.ProbedRate <- maxRate it
                it.FullRounds <- 0
            elif not sample.IsAppLimited then
                it.FullRounds <- it.FullRounds + 1
        | _ -> ()

        // All acknowledgements of the last probe are in: older rates are forgotten (5.5.6).
        if it.IsProbing && it.Phase <> BbrPhase.Up && it.Rounds > it.SinceRound then
            it.IsProbing <- false

            if not sample.IsAppLimited then
                it.LastCycleRate <- it.CycleRate
                it.CycleRate <- 0L

        it.RoundAcked <- 0L
        it.RoundLost <- 0L
        it.RoundRanges <- 0
        it.RoundQueues <- 0
        it.RoundRate <- 0L
        it.IsRoundEmpty <- true
        it.IsRoundPeerLimited <- false

    let private startProbeRtt (now: Instant) (it: BbrState) =
        it.WindowBefore <- it.Window
        it.ProbeRttSince <- Time.never
        enter BbrPhase.ProbeRtt now it

    let private checkProbeRtt (sample: inref<CongestionSample>) (it: BbrState) =
        let now = sample.Now

        if it.Phase <> BbrPhase.ProbeRtt then
            if it.IsFull && now - it.RecentRttAt > rttProbeEvery then startProbeRtt now it
        elif it.ProbeRttSince = Time.never then
            if sample.Flight <= max (bdp HalfGain it) (leastPackets * it.Packet) then
                it.ProbeRttSince <- now
                it.ProbeRttRound <- it.Rounds
        elif now - it.ProbeRttSince >= rttProbeTime && it.Rounds > it.ProbeRttRound then
            it.RecentRttAt <- now
            it.Window <- max it.Window it.WindowBefore
            resetShort it
            startDown now it
            it.IsProbing <- false
            enter BbrPhase.Cruise now it

    let private advance (sample: inref<CongestionSample>) (it: BbrState) =
        let now = sample.Now
        let flight = sample.Flight

        match it.Phase with
        | BbrPhase.Startup when it.IsFull -> enter BbrPhase.Drain now it
        | BbrPhase.Drain ->
            if flight <= bdp EvenGain it || it.Rounds - it.SinceRound >= 3L then startDown now it
        | BbrPhase.Down ->
            if isProbeDue now it then
                startRefill now it
            elif flight <= bdp EvenGain it && flight <= withHeadroom it.LongFlight then
                enter BbrPhase.Cruise now it
        | BbrPhase.Cruise -> if isProbeDue now it then startRefill now it
        | BbrPhase.Refill -> if it.Rounds > it.SinceRound then startUp now it
        | BbrPhase.Up ->
            let isAbove = not sample.IsQueueEmpty && it.Rounds > it.SinceRound && flight >= bdp UpGain it

            if isTooMuch (int64 sample.LostSince) (int64 sample.SentFlight) sample.IsQueueEmpty it then
                boundLong &sample it
                startDown now it
            elif isAbove || it.FullRounds >= 3 then
                startDown now it
        | _ -> ()

    // ---- The window (5.6.4) ----

    let private setWindow (sample: inref<CongestionSample>) (it: BbrState) =
        let extra = if it.IsFull then max it.ExtraAcked it.LastExtraAcked else 0
        let least = leastPackets * it.Packet
        // Three trains, for those that are under way at either end.
        let trains = toInt (3L * max (2L * int64 it.Packet) (min 65_000L (pacingRate it / 1_000L)))
        let target = max trains (toInt (int64 (bdp (windowGain it) it) + int64 extra))
        let grown = toInt (int64 it.Window + int64 sample.Bytes)

        if it.IsFull then
            it.Window <- min grown target
        elif it.Window < target || sample.Delivered < int64 (10 * it.Packet) then
            it.Window <- grown

        let bound =
            match it.Phase with
            | BbrPhase.Startup -> none
            | BbrPhase.Up
            | BbrPhase.Refill -> it.LongFlight
            | BbrPhase.Cruise
            | BbrPhase.ProbeRtt -> min it.ShortFlight (withHeadroom it.LongFlight)
            | _ -> min it.ShortFlight it.LongFlight

        it.Window <- max least (min it.Window bound)

        if it.Phase = BbrPhase.ProbeRtt then it.Window <- min it.Window (max least (bdp HalfGain it))

    /// Takes a sample; `it` is the caller's own.
    let observe (sample: inref<CongestionSample>) (it: BbrState) =
        if it.Random = 0u then it.Random <- sample.Salt ||| 1u

        it.RoundAcked <- it.RoundAcked + int64 sample.Bytes
        it.RoundLost <- it.RoundLost + int64 sample.LostBytes
        it.RoundRanges <- it.RoundRanges + sample.LostRanges
        it.IsRoundEmpty <- it.IsRoundEmpty && sample.IsQueueEmpty
        it.IsRoundPeerLimited <- it.IsRoundPeerLimited || sample.IsPeerLimited
        learnNoise &sample it

        if sample.Bytes > 0 then
            observeRtt &sample it

            if sample.DeliveryRate > 0L then
                it.RoundRate <- max it.RoundRate sample.DeliveryRate

                if not sample.IsAppLimited || sample.DeliveryRate >= maxRate it then
                    it.CycleRate <- max it.CycleRate sample.DeliveryRate

            let threshold = max (Time.milliseconds 4) (min (Time.milliseconds 16) (it.LeastRtt / 8L))
            if sample.HasQueueing && sample.Queueing >= threshold then it.RoundQueues <- it.RoundQueues + 1

            observeAggregation &sample it

            if sample.PriorDelivered >= it.RoundEnd then
                it.Rounds <- it.Rounds + 1L
                it.RoundEnd <- sample.Delivered
                endRound &sample it

            advance &sample it
            checkProbeRtt &sample it
            if isKnown it then setWindow &sample it

/// BBR, version 3.
[<Sealed>]
type internal Bbr internal (state: BbrState) =
    member internal _.State = state

    interface ICongestionController with
        member _.Window = state.Window
        member _.PacingRate = BbrModel.pacingRate state

        member _.Phase =
            match state.Phase with
            | BbrPhase.Startup -> "startup"
            | BbrPhase.Drain -> "drain"
            | BbrPhase.Down -> "probe-down"
            | BbrPhase.Cruise -> "probe-cruise"
            | BbrPhase.Refill -> "probe-refill"
            | BbrPhase.Up -> "probe-up"
            | BbrPhase.ProbeRtt -> "probe-rtt"

        member _.Observe sample =
            let next = { state with Window = state.Window }
            BbrModel.observe &sample next
            Bbr next

        member _.IsLossTolerated = false

        /// What is in flight is lost: one packet goes out at once, and the window grows again by what arrives. What is known of the path stays.
        member _.TimedOut _ = Bbr { state with Window = state.Packet }

        member _.Resized packet = Bbr { state with Packet = packet; Window = max state.Window (2 * packet) }
        member this.Restarted _ = this

module internal BbrStart =
    /// Streams share what they begin with.
    let create packet : ICongestionController = Bbr(BbrModel.start packet)
