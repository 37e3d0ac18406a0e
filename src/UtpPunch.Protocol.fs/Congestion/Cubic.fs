namespace UtpPunch.Protocol

/// The curve that CUBIC's window follows (RFC 9438, 4.2 and 4.3), in bytes.
[<Struct; NoComparison; NoEquality>]
type internal CubicCurve =
    {
        /// W_max: the window at which the last congestion event came, or less (fast convergence).
        mutable Most: int64
        /// cwnd_prior: the window at which it came.
        mutable Prior: int64
        /// When the curve began, without the times in which the window was not in use; `Time.never` if it has not.
        mutable Epoch: Instant
        /// K: the milliseconds until the curve reaches `Most`.
        mutable PlateauMs: int64
        /// W_est, the window that Reno would have, in 1/1024 byte.
        mutable Reno: int64
    }

/// What CUBIC knows. Windows are in 1/1024 byte, since their small steps would round to nothing.
[<Struct; NoComparison; NoEquality>]
type internal CubicState =
    {
        mutable Packet: int
        mutable Window: int64
        /// Below it, the window grows as in slow start; `Int64.MaxValue` before the first congestion event.
        mutable Threshold: int64
        mutable RoundTrip: Duration
        /// The last sample.
        mutable At: Instant
        mutable Curve: CubicCurve

        /// What has to be delivered until a packet that was sent after the congestion event is acknowledged; -1 without one.
        mutable RecoveryEnds: int64
        /// RecoverFS of RFC 9937: the bytes that were in flight when it came.
        mutable RecoveryFlight: int
        /// The packets that were lost in the last congestion event and have not arrived after all, and what it has replaced. A window
        /// of 0 if there is nothing to be restored.
        mutable Unproven: int
        mutable OldWindow: int64
        mutable OldThreshold: int64
        mutable OldCurve: CubicCurve

        // RFC 9406: the round trip, the least delay in it and in the last one, and the samples in a row that ask for another growth.
        mutable RoundEnds: int64
        mutable Delay: Duration
        mutable LastDelay: Duration
        mutable Samples: int
        /// Rounds of conservative slow start that are left, and the delay from which on there is a queue.
        mutable CarefulRounds: int
        mutable CarefulDelay: Duration
    }

/// CUBIC (RFC 9438) in integers, with the slow start of RFC 9406 (HyStart++), on one-way delays where the peer measures them. In
/// recovery the window falls in proportion to what arrives (as in RFC 9937): one that is cut at once would silence the sender for a part
/// of the round trip.
module internal CubicWindow =
    [<Literal>]
    let Scale = 10

    let private noCurve = { Most = 0L; Prior = 0L; Epoch = Time.never; PlateauMs = 0L; Reno = 0L }

    /// The largest window; it only guards the arithmetic.
    let private ceiling = 1L <<< 30

    /// C, 0.4 packets per cubic second, as 4 / 10^10 packets per cubic millisecond; and the longest time that is put into the curve.
    let private curveScale = 10_000_000_000L
    let private longestMs = 100_000L
    let private deepest = 900_000_000L

    /// RFC 9406, 4.2: eight samples, and five rounds of conservative slow start, at a quarter of the growth.
    let private enoughSamples = 8
    let private carefulRounds = 5

    let start (from: CongestionStart) : CubicState =
        let packet = from.Packet
        let isNew = from.Window = 0
        // RFC 6928: a first window of ten packets.
        let window = int64 (if isNew then 10 * packet else max packet from.Window) <<< Scale

        { Packet = packet
          Window = window
          Threshold = if isNew then System.Int64.MaxValue else window
          RoundTrip = from.RoundTrip
          At = 0L<us>
          Curve = noCurve
          RecoveryEnds = -1L
          RecoveryFlight = 0
          Unproven = 0
          OldWindow = 0L
          OldThreshold = 0L
          OldCurve = noCurve
          RoundEnds = 0L
          Delay = Time.never
          LastDelay = Time.never
          Samples = 0
          CarefulRounds = 0
          CarefulDelay = 0L<us> }

    let size (it: inref<CubicState>) = max it.Packet (int (it.Window >>> Scale))

    /// The largest integer whose cube is not above the value, bit by bit.
    let cubeRoot (value: int64) =
        let mutable root = 0L

        for bit in 20..-1..0 do
            let next = root ||| (1L <<< bit)
            if next * next * next <= value then root <- next

        root

    /// K = cbrt((W_max - cwnd_epoch) / C), in milliseconds.
    let plateau (below: int64) (packet: int) = cubeRoot (max 0L (min deepest below) * curveScale / int64 (4 * packet))

    /// W_cubic(t) - W_max = C (t - K)^3, in bytes.
    let offset (ms: int64) (packet: int) =
        let ms = max -longestMs (min longestMs ms)
        ms * ms * ms / 1_000L * int64 (4 * packet) / (curveScale / 1_000L)

    let private limit (it: byref<CubicState>) =
        it.Window <- max (int64 it.Packet <<< Scale) (min (ceiling <<< Scale) it.Window)

    /// Whether a packet is acknowledged that was sent after so much was delivered.
    let private isAfter delivered (sample: inref<CongestionSample>) =
        sample.PriorDelivered >= delivered && sample.PriorDelivered < sample.Delivered

    // ---- Growth ----

    /// RFC 9438, 5.8: a window that is not in use does not grow. A pacer leaves a part of it open for a moment.
    let private isUsed (sample: inref<CongestionSample>) (it: inref<CubicState>) =
        sample.IsWindowLimited || int64 sample.FlightBefore + int64 (3 * it.Packet) >= (it.Window >>> Scale)

    /// RFC 9406: slow start ends when the delay has grown since the last round trip. Since packets are paced, the queue grows all through
    /// a round: the samples that show it need not be the first of one.
    let private observeRound (sample: inref<CongestionSample>) (it: byref<CubicState>) =
        if isAfter it.RoundEnds &sample then
            it.RoundEnds <- sample.Delivered
            it.LastDelay <- it.Delay
            it.Delay <- Time.never

            if it.CarefulRounds > 0 then
                it.CarefulRounds <- it.CarefulRounds - 1
                if it.CarefulRounds = 0 then it.Threshold <- it.Window

        // Later slow starts end at their threshold.
        if it.Threshold = System.Int64.MaxValue && (sample.HasQueueing || sample.RoundTrip > 0L<us>) then
            let delay = if sample.HasQueueing then sample.Queueing else sample.RoundTrip
            let margin = max (Time.milliseconds 4) (min (Time.milliseconds 16) (sample.Least / 8L))
            let limit = if it.CarefulRounds > 0 then it.CarefulDelay else Time.after it.LastDelay margin
            it.Delay <- min it.Delay delay

            // In conservative slow start, a short delay again: the queue was one of others.
            it.Samples <- if (delay >= limit) <> (it.CarefulRounds > 0) then it.Samples + 1 else 0

            if it.Samples >= enoughSamples then
                it.Samples <- 0
                it.CarefulDelay <- limit
                it.CarefulRounds <- if it.CarefulRounds > 0 then 0 else carefulRounds

    let private slowStart (sample: inref<CongestionSample>) (it: byref<CubicState>) =
        let growth = if it.CarefulRounds > 0 then sample.Bytes / 4 else sample.Bytes
        it.Window <- max it.Window (min it.Threshold (it.Window + (int64 growth <<< Scale)))

    let private beginCurve now (it: byref<CubicState>) =
        let window = it.Window >>> Scale
        it.Curve.Epoch <- now
        it.Curve.Reno <- it.Window

        if window < it.Curve.Most then
            it.Curve.PlateauMs <- plateau (it.Curve.Most - window) it.Packet
        else
            it.Curve.Most <- window
            it.Curve.PlateauMs <- 0L

    let private avoid (sample: inref<CongestionSample>) (it: byref<CubicState>) =
        if it.Curve.Epoch = Time.never then beginCurve sample.Now &it

        let window = it.Window >>> Scale
        // More than eight megabytes in a step would not fit into the arithmetic.
        let acked = int64 (min sample.Bytes (1 <<< 23))

        // RFC 9438, 4.3: alpha is 9/17 until Reno would have the window of before the event, then 1.
        let packet = int64 it.Packet
        let packet = if it.Curve.Reno >>> Scale < it.Curve.Prior then packet * 9L / 17L else packet
        it.Curve.Reno <- min (ceiling <<< Scale) (it.Curve.Reno + (packet * acked <<< Scale) / window)

        // RFC 9438, 4.4 and 4.5: the curve as it will be a round trip from now.
        let elapsedMs = int64 (sample.Now - it.Curve.Epoch + it.RoundTrip) / 1_000L
        let curve = it.Curve.Most + offset (elapsedMs - it.Curve.PlateauMs) it.Packet
        let target = max window (min (window * 3L / 2L) curve)
        let growth = (target - window <<< Scale) * acked / window
        it.Window <- max it.Curve.Reno (it.Window + growth)
        limit &it

    let private grow (sample: inref<CongestionSample>) (it: byref<CubicState>) =
        if isUsed &sample &it then
            if it.Window < it.Threshold then slowStart &sample &it else avoid &sample &it
            limit &it
        elif it.Curve.Epoch <> Time.never then
            it.Curve.Epoch <- it.Curve.Epoch + max 0L<us> (sample.Now - it.At)

    // ---- Congestion events ----

    let private remember unproven (it: byref<CubicState>) =
        it.Unproven <- unproven
        it.OldWindow <- it.Window
        it.OldThreshold <- it.Threshold
        it.OldCurve <- it.Curve

    /// RFC 9438, 4.9.2: all that was lost in the event has arrived after all.
    let private undo (it: byref<CubicState>) =
        it.Window <- max it.Window it.OldWindow
        it.Threshold <- it.OldThreshold
        it.Curve <- it.OldCurve
        it.RecoveryEnds <- -1L
        it.OldWindow <- 0L
        limit &it

    let private endRecovery (it: byref<CubicState>) =
        it.RecoveryEnds <- -1L
        it.Window <- min it.Window it.Threshold

    /// RFC 9438, 4.6 and 4.7: beta is 0.7; and fast convergence: a flow whose window was already smaller than the last time leaves
    /// more to others.
    let private reduce (sample: inref<CongestionSample>) (it: byref<CubicState>) =
        if it.RecoveryEnds >= 0L then endRecovery &it

        remember 0 &it
        let window = it.Window >>> Scale

        it.Curve <-
            { noCurve with
                Most = if window < it.Curve.Most then window * 17L / 20L else window
                Prior = window }

        it.Threshold <- max (int64 (2 * it.Packet) <<< Scale) (it.Window * 7L / 10L)
        it.Window <- max it.Window it.Threshold
        it.CarefulRounds <- 0
        it.RecoveryEnds <- sample.Delivered
        it.RecoveryFlight <- max it.Packet (max sample.FlightBefore (sample.Flight + sample.LostBytes))

    /// Once all that was in flight is acknowledged, the window has fallen to the threshold, from ten sevenths of it: in proportion to
    /// what is acknowledged, and at once by what is lost, so that no more is sent than arrives.
    let private fall acked lost (it: byref<CubicState>) =
        let acked = int64 (min acked it.RecoveryFlight)
        let by = (it.Threshold >>> Scale) * 3L * acked / (7L * int64 it.RecoveryFlight) + int64 lost
        it.Window <- max it.Threshold (it.Window - (by <<< Scale))

    /// Takes a sample; `it` is the caller's own.
    let observe (sample: inref<CongestionSample>) (it: byref<CubicState>) =
        let before = it.Window
        if sample.Smoothed > 0L<us> then it.RoundTrip <- sample.Smoothed

        if it.OldWindow > 0L then
            it.Unproven <- it.Unproven - sample.SpuriousPackets
            // Nothing grows without an acknowledgement.
            if it.Unproven <= 0 && sample.Bytes > 0 then undo &it

        if sample.Bytes > 0 then
            observeRound &sample &it

            if it.RecoveryEnds >= 0L && isAfter it.RecoveryEnds &sample then endRecovery &it

            if it.RecoveryEnds >= 0L then fall sample.Bytes 0 &it else grow &sample &it

            it.At <- sample.Now

        if sample.IsFirstLoss then reduce &sample &it

        if sample.LostPackets > 0 || sample.IsFirstLoss then
            it.Unproven <- it.Unproven + max 1 sample.LostPackets
            if it.RecoveryEnds >= 0L then fall 0 sample.LostBytes &it

        // A loss alone may move the window to a threshold above it.
        if sample.Bytes = 0 then it.Window <- min before it.Window

    /// RFC 9438, 4.8, and RFC 5681, 3.1: one packet is left, and of several time-outs in a row the first one sets the threshold.
    let timeOut flight (it: byref<CubicState>) =
        let two = int64 (2 * it.Packet) <<< Scale
        let isRepeated = size &it <= it.Packet && it.Threshold < System.Int64.MaxValue

        if not isRepeated then
            // Some packets are retransmitted before it shows that they have arrived: half of them prove it.
            remember (max 1 (flight / it.Packet / 2)) &it
            it.Threshold <- max two ((int64 flight <<< Scale) * 7L / 10L)

        // The curve begins at the threshold, with its plateau.
        it.Curve <- noCurve
        it.Window <- int64 it.Packet <<< Scale
        it.RecoveryEnds <- -1L
        it.CarefulRounds <- 0

    let resize packet (it: byref<CubicState>) =
        if packet > it.Packet then it.Window <- max it.Window (int64 (2 * packet) <<< Scale)

        it.Packet <- packet
        // The curve is steeper with larger packets.
        it.Curve.Epoch <- Time.never

    /// Idle time does not count for the curve.
    let restart now roundTrip (it: byref<CubicState>) =
        if roundTrip > 0L<us> then it.RoundTrip <- roundTrip

        if it.Curve.Epoch <> Time.never then
            it.Curve.Epoch <- it.Curve.Epoch + max 0L<us> (now - it.At)

        it.At <- max now it.At

    /// A fourth more than a window in each round trip, and in slow start twice a window.
    let pacingRate (it: inref<CubicState>) =
        if it.RoundTrip <= 0L<us> then
            System.Int64.MaxValue
        else
            let isDoubling = it.Window < it.Threshold && it.CarefulRounds = 0
            max 1L (int64 (size &it) * (if isDoubling then 2_000_000L else 1_250_000L) / int64 it.RoundTrip)

    let phase (it: inref<CubicState>) =
        if it.RecoveryEnds >= 0L then "recovery"
        elif it.Window >= it.Threshold then "avoidance"
        elif it.CarefulRounds > 0 then "conservative-start"
        else "slow-start"

/// CUBIC.
[<Sealed>]
type internal Cubic internal (state: CubicState) =
    let mutable state = state

    member internal _.State = state

    interface ICongestionController with
        member _.Window = CubicWindow.size &state
        member _.PacingRate = CubicWindow.pacingRate &state
        member _.Phase = CubicWindow.phase &state

        member _.Observe sample =
            let mutable next = state
            CubicWindow.observe &sample &next
            Cubic next

        member _.IsLossTolerated = false

        member _.TimedOut flight =
            let mutable next = state
            CubicWindow.timeOut flight &next
            Cubic next

        member _.Resized packet =
            let mutable next = state
            CubicWindow.resize packet &next
            Cubic next

        member _.Restarted(now, roundTrip) =
            let mutable next = state
            CubicWindow.restart now roundTrip &next
            Cubic next

/// CUBIC of a stream that has sent nothing.
[<Sealed>]
type internal CubicStart internal (from: CongestionStart) =
    inherit Unstarted(from)
    override _.Begin() = Cubic(CubicWindow.start from)
