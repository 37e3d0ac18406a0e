namespace UtpPunch.Protocol

/// What LEDBAT++ knows. Windows are in 1/1024 byte, since their small steps would round to nothing.
[<Struct; NoComparison; NoEquality>]
type internal LedbatState =
    {
        mutable Packet: int
        /// The smallest packet so far: less than one of them is never in flight.
        mutable Smallest: int
        mutable Target: Duration
        /// What acknowledgements have earned; and the bytes that may be in flight without that: two packets after they have grown, or
        /// after a loss. What was not earned is lost when packets become smaller.
        mutable Earned: int64
        mutable Lent: int
        /// Below it, the window grows as in slow start; `Int64.MaxValue` before the first congestion event.
        mutable Threshold: int64
        /// The window that the path was full with when it last was: what other traffic has taken is taken back as in slow start.
        mutable Full: int64
        /// What has to be delivered until a packet that was sent after the last slow start is acknowledged: before that, delays are those
        /// of a larger window.
        mutable Settled: int64
        mutable RoundTrip: Duration

        /// What has to be delivered until this round trip ends, the least queueing delay in it and in the one before, and the round trips
        /// in a row in which the window was in use and hardly a queue stood.
        mutable RoundEnds: int64
        mutable RoundDelay: Duration
        mutable LastRoundDelay: Duration
        mutable IsRoundUsed: bool
        mutable FreeRounds: int

        /// When the next slowdown begins, and when this one has begun; `Time.never` if there is none. How many times as long as in the
        /// draft the stream waits for the next one.
        mutable SlowdownAt: Instant
        mutable SlowdownBegan: Instant
        mutable Spacing: int

        mutable Tolerance: LossTolerance
        mutable IsTolerated: bool
    }

/// LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus) in integers. It fills the path as long as the queue stays below the target delay, and
/// yields to all other traffic that makes it longer. From time to time it slows down, so that the queue drains and all who wait in it
/// see how long the path is without one. Without delay samples (the npm package sends none) it grows and halves like Reno.
module internal LedbatWindow =
    [<Literal>]
    let Scale = 10

    /// The largest window; it only guards the arithmetic.
    let private ceiling = 1L <<< 40

    /// Of the round trips in a row that show that the path is free again.
    let private freeRounds = 8

    /// The longer no queue shows, the faster the window grows, up to that many packets in a round trip, and a thirty-second of itself.
    let private mostQuickly = 16

    /// Round trips from the end of the first slow start to the first slowdown, of its silence, and between two of them at least; and the
    /// length of a slowdown as a part of the time between two.
    let private firstSlowdown = 2L
    let private silence = 2L
    let private leastBetween = 18L
    let private slowdownPart = 9L

    /// A stream that keeps its share need not slow down as often.
    let private widestSpacing = 2

    let start (from: CongestionStart) : LedbatState =
        let isNew = from.Window = 0
        // RFC 6928: a first window of ten packets.
        let window = int64 (if isNew then 10 * from.Packet else max from.Packet from.Window) <<< Scale

        { Packet = from.Packet
          Smallest = from.Packet
          Target = from.TargetDelay
          Earned = window
          Lent = 0
          Threshold = if isNew then System.Int64.MaxValue else window
          Full = 0L
          Settled = 0L
          RoundTrip = from.RoundTrip
          RoundEnds = 0L
          RoundDelay = Time.never
          LastRoundDelay = 0L<us>
          IsRoundUsed = false
          FreeRounds = 0
          SlowdownAt = Time.never
          SlowdownBegan = Time.never
          Spacing = 1
          Tolerance = LossTolerance.none
          IsTolerated = false }

    let private scaled bytes = int64 bytes <<< Scale

    /// The congestion window: what was earned, what was lent, and at least one packet (RFC 6817, 2.4.2: MIN_CWND).
    let private scaledSize (it: inref<LedbatState>) = max it.Earned (scaled (max it.Lent it.Packet))
    let size (it: inref<LedbatState>) = int (scaledSize &it >>> Scale)

    let private earn packets fresh (it: byref<LedbatState>) =
        it.Earned <- max (scaled (packets * it.Smallest)) (min ceiling fresh)

    let private isSlowStart (it: inref<LedbatState>) = scaledSize &it < it.Threshold

    let private isSlowedDown (it: inref<LedbatState>) = it.SlowdownBegan <> Time.never

    /// The draft's 1 / GAIN: on short paths the window grows slowly, so that the queue can be measured before it is full.
    let private reluctance (sample: inref<CongestionSample>) (it: inref<LedbatState>) =
        if not sample.HasQueueing || sample.Least <= 0L<us> then
            1L
        else
            max 1L (min 16L ((2L * int64 it.Target + int64 sample.Least - 1L) / int64 sample.Least))

    // ---- Slowdowns ----

    let private endSlowdown now (it: byref<LedbatState>) =
        let between = max (slowdownPart * (now - it.SlowdownBegan)) (leastBetween * it.RoundTrip)
        it.SlowdownAt <- now + int64 it.Spacing * between
        it.SlowdownBegan <- Time.never

    let private beginSlowdown now (it: byref<LedbatState>) =
        // With less than half of what it had, the stream competes: the others must see the path without a queue soon.
        it.Spacing <- if it.Earned >= it.Full / 2L then min widestSpacing (2 * it.Spacing) else 1
        it.Threshold <- it.Earned
        it.Earned <- scaled (2 * it.Packet)
        it.Lent <- 0
        it.SlowdownBegan <- now

    /// The first slow start has ended, by delay or by loss.
    let private planSlowdown now trips (it: byref<LedbatState>) =
        if it.SlowdownAt = Time.never then it.SlowdownAt <- now + trips * it.RoundTrip

    let private isSlowdownDue (sample: inref<CongestionSample>) isUsed (it: inref<LedbatState>) =
        sample.Now >= it.SlowdownAt
        && isUsed
        && sample.HasQueueing
        && not (isSlowedDown &it)
        && not (isSlowStart &it)
        && it.Earned > scaled (4 * it.Packet)

    // ---- Growth ----

    let private observeRound (sample: inref<CongestionSample>) queueing isUsed (it: byref<LedbatState>) =
        it.RoundDelay <- min it.RoundDelay queueing
        if isUsed && sample.HasQueueing then it.IsRoundUsed <- true

        if sample.PriorDelivered >= it.RoundEnds && sample.PriorDelivered < sample.Delivered then
            it.RoundEnds <- sample.Delivered
            let isFree = it.IsRoundUsed && it.RoundDelay <= it.Target / 4L
            it.FreeRounds <- if isFree then it.FreeRounds + 1 else 0
            it.IsRoundUsed <- false
            it.LastRoundDelay <- it.RoundDelay
            it.RoundDelay <- Time.never

            if it.FreeRounds >= freeRounds && it.Earned < it.Full && not (isSlowStart &it) then
                it.Threshold <- it.Full

    /// Slow start has filled the path, and the window may be much more than that: the rate tells what the path holds. A later slow start
    /// may have met other traffic.
    let private leaveSlowStart isFirst (sample: inref<CongestionSample>) (it: byref<LedbatState>) =
        let isMeasured = sample.DeliveryRate > 0L && not sample.IsAppLimited
        let held = sample.DeliveryRate * int64 (sample.Least + it.Target) / 1_000_000L <<< Scale
        let full = if isMeasured then min it.Earned held else it.Earned
        it.Full <- if isFirst then full else max full (it.Full * 7L / 8L)
        earn 2 full &it
        it.Threshold <- scaledSize &it
        it.Settled <- sample.Delivered
        if isSlowedDown &it then endSlowdown sample.Now &it
        planSlowdown sample.Now firstSlowdown &it

    /// The draft's congestion avoidance: a packet per round trip times GAIN, and above the target a decrease by the same part of the
    /// window as the delay is above it, half of the window at most.
    let private avoid (sample: inref<CongestionSample>) (queueing: Duration) (it: byref<LedbatState>) =
        let window = int64 (size &it)
        // More than a gigabyte in a step would not fit into the arithmetic.
        let bytes = int64 (min sample.Bytes (1 <<< 30))
        let most = min mostQuickly (int window / it.Packet / 32)
        let quickly = int64 (max 1 (min most (it.FreeRounds / freeRounds)))
        // Products first: a quotient of bytes, or of milliseconds, would lose half of itself.
        let growth = (bytes <<< Scale) * int64 it.Packet * quickly / (window * reluctance &sample &it)
        // What is acknowledged has met the queue of the last round trip. A pause of the link (a radio that was asleep) is no queue.
        let standing = min queueing (min it.RoundDelay it.LastRoundDelay)
        let isSettled = sample.PriorDelivered >= it.Settled
        let above = if isSettled then max 0L<us> (min (it.Target / 2L) (standing - it.Target)) else 0L<us>
        let decrease = (bytes <<< Scale) * int64 above / int64 it.Target
        earn 2 (it.Earned + growth - decrease) &it

        if decrease > growth then
            it.Lent <- 0
            it.Threshold <- min it.Threshold it.Earned

        if queueing * 4L >= it.Target * 3L then it.Full <- max it.Full it.Earned

    let private grow (sample: inref<CongestionSample>) (queueing: Duration) (it: byref<LedbatState>) =
        let isFirst = it.Threshold = System.Int64.MaxValue
        // Before the first congestion event the capacity is unknown, and a queue that does not show in the delay would have to overflow
        // first: while there is one, the window grows slowly (RFC 9406).
        let isInflated = sample.IsRttInflated && isFirst
        let most = if isFirst then it.Target * 3L / 4L else it.Target

        if not (isSlowStart &it) || isInflated && queueing < most then
            avoid &sample queueing &it
        elif queueing >= most then
            leaveSlowStart isFirst &sample &it
            avoid &sample queueing &it
        else
            // Only the first one does not know where it ends. RFC 9406: a queue that grows may be full before it shows.
            let careful = if queueing > it.Target / 4L then 4L else 1L
            let growth = scaled sample.Bytes / (if isFirst then careful * reluctance &sample &it else 1L)
            earn 1 (max it.Earned (min it.Threshold (it.Earned + growth))) &it
            if isSlowedDown &it && it.Earned >= it.Threshold then endSlowdown sample.Now &it

    let private acknowledged (sample: inref<CongestionSample>) (it: byref<LedbatState>) =
        if sample.Smoothed > 0L<us> then it.RoundTrip <- sample.Smoothed
        it.Tolerance <- LossTolerance.acknowledged sample.Packets sample.IsQueueEmpty it.Tolerance
        it.IsTolerated <- false
        let queueing = if sample.HasQueueing then sample.Queueing else 0L<us>

        // RFC 6817, 2.4.2: a window that is not in use does not grow. A pacer leaves a part of it open for a moment.
        let isUsed = sample.IsWindowLimited || sample.FlightBefore + 3 * it.Packet >= size &it
        observeRound &sample queueing isUsed &it

        // A loss or a time-out has ended the first slow start, or there was none.
        if it.Threshold < System.Int64.MaxValue then planSlowdown sample.Now leastBetween &it

        if isSlowdownDue &sample isUsed &it then beginSlowdown sample.Now &it
        elif isSlowedDown &it && sample.Now < it.SlowdownBegan + silence * it.RoundTrip then ()
        elif isUsed then grow &sample queueing &it
        elif queueing > it.Target then avoid &sample queueing &it

    // ---- Losses ----

    let private halve now (it: byref<LedbatState>) =
        it.Full <- max (it.Earned / 2L) (it.Full * 3L / 4L)

        if isSlowedDown &it then
            // The window is that of the slowdown: what was lost was sent before it.
            it.Threshold <- max (scaled (2 * it.Packet)) (it.Threshold / 2L)
            if it.Earned >= it.Threshold then endSlowdown now &it
        else
            // RFC 5681, equation 4: two packets are left, or the next loss could only show by the clock. A time-out leaves one.
            it.Threshold <- scaled (max (2 * it.Packet) (size &it / 2))
            earn 2 (it.Earned / 2L) &it
            it.Lent <- 2 * it.Packet

        it.Tolerance <- LossTolerance.answered it.Tolerance

    let private missed (sample: inref<CongestionSample>) (it: byref<LedbatState>) =
        it.Tolerance <- LossTolerance.missed sample.LostPackets (size &it / it.Packet) it.Tolerance
        it.IsTolerated <- sample.IsFirstLoss && sample.HasSack && LossTolerance.isAll it.Tolerance
        if sample.IsFirstLoss && not it.IsTolerated then halve sample.Now &it

    /// Takes a sample; `it` is the caller's own.
    let observe (sample: inref<CongestionSample>) (it: byref<LedbatState>) =
        if sample.Bytes > 0 then acknowledged &sample &it
        if sample.LostPackets > 0 || sample.IsFirstLoss then missed &sample &it

    let timeOut flight (it: byref<LedbatState>) =
        // RFC 5681, 3.1: once for all time-outs in a row. After the first one nothing is left to be halved.
        let isRepeated = size &it <= it.Packet && it.Threshold < System.Int64.MaxValue
        // A window that was not in use had been: half of it, not of what was in flight. In a slowdown it is the one of before.
        if not isRepeated then
            let window = max (scaledSize &it) (if isSlowedDown &it then it.Threshold else 0L)
            it.Threshold <- max (scaled (2 * it.Packet)) (max (scaled flight) window / 2L)

        it.Lent <- 0
        earn 1 0L &it
        it.IsTolerated <- false
        it.SlowdownBegan <- Time.never
        it.SlowdownAt <- Time.never

    let resize packet (it: byref<LedbatState>) =
        it.Lent <- if packet > it.Packet then 2 * packet else min it.Lent (2 * packet)
        it.Packet <- packet
        it.Smallest <- min packet it.Smallest

    /// Nothing was in flight: the queue has had its time to drain.
    let restart now (it: byref<LedbatState>) =
        if it.SlowdownAt <> Time.never && not (isSlowedDown &it) then
            it.SlowdownAt <- max it.SlowdownAt (now + leastBetween * it.RoundTrip)

    /// A fourth more than a window in each round trip, and in slow start twice a window.
    let pacingRate (it: inref<LedbatState>) =
        if it.RoundTrip <= 0L<us> then
            System.Int64.MaxValue
        else
            max 1L (int64 (size &it) * (if isSlowStart &it then 2_000_000L else 1_250_000L) / int64 it.RoundTrip)

    let phase (it: inref<LedbatState>) =
        if isSlowedDown &it then "slowdown"
        elif isSlowStart &it then "slow-start"
        else "avoidance"

/// LEDBAT++.
[<Sealed>]
type internal Ledbat internal (state: LedbatState) =
    let mutable state = state

    member internal _.State = state

    interface ICongestionController with
        member _.Window = LedbatWindow.size &state
        member _.PacingRate = LedbatWindow.pacingRate &state
        member _.Phase = LedbatWindow.phase &state

        member _.Observe sample =
            let mutable next = state
            LedbatWindow.observe &sample &next
            Ledbat next

        member _.IsLossTolerated = state.IsTolerated

        member _.TimedOut flight =
            let mutable next = state
            LedbatWindow.timeOut flight &next
            Ledbat next

        member _.Resized packet =
            let mutable next = state
            LedbatWindow.resize packet &next
            Ledbat next

        member this.Restarted(now, _) =
            let mutable next = state
            LedbatWindow.restart now &next
            if next.SlowdownAt = state.SlowdownAt then this else Ledbat next

/// LEDBAT++ of a stream that has sent nothing.
[<Sealed>]
type internal LedbatStart internal (from: CongestionStart) =
    inherit Unstarted(from)
    override _.Begin() = Ledbat(LedbatWindow.start from)
