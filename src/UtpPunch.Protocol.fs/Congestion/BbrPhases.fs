namespace UtpPunch.Protocol

open BbrModel

/// The phases of BBR: how it probes for the rate and the round trip, and how it answers losses (draft-ietf-ccwg-bbr-06, 5.3 and 5.5.10).
module internal BbrPhases =
    let private enter phase (now: Instant) (it: BbrState) =
        it.Phase <- phase
        it.Since <- now
        it.SinceRound <- it.Rounds

    let private draw (it: BbrState) =
        it.Random <- it.Random * 1664525u + 1013904223u
        it.Random >>> 8

    /// A queue that is longer than this, and than the round trip, is not BBR's own.
    let private longQueue = Time.milliseconds 100

    let private isLong queue (it: BbrState) = queue > max longQueue it.LeastRtt

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

    /// A queue that stands is not probed for more for that long.
    let private probePauseWithQueue = Time.seconds 6

    let private isProbeDue (now: Instant) (it: BbrState) =
        if isLong it.LastRoundQueue it then
            now >= it.ProbeAt + probePauseWithQueue
        else
            now >= it.ProbeAt || it.Rounds >= it.ProbeRound

    /// Whether losses are more than the path's own and 2 % besides. Without a queue they would have to be many: then a policer drops.
    let private isTooMuch lost sent isEmpty (it: BbrState) =
        let allowed = int64 (lossThreshold + it.PathLoss)
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

    /// Losses show that the path is full (5.3.1.3). Startup ends at once: until the end of the round as much again would be lost.
    let private judgeStartupLosses (it: BbrState) =
        if it.RoundRanges >= 6 && isTooMuch it.RoundLost (it.RoundLost + it.RoundAcked) it.IsRoundEmpty it then
            it.LongFlight <- max (bdp EvenGain it) (toInt it.RoundAcked)
            leaveStartup it

    /// At the end of a round in Startup: whether the rate grows no more, or a queue shows that the path is full (5.3.1).
    let private judgeStartup (sample: inref<CongestionSample>) (it: BbrState) =
        let grows = maxRate it >= it.FullRate + it.FullRate / 4L

        if it.HeldRound < it.Rounds - 1L then
            // For a whole round the window was held: what is known of the rate is all that there is.
            leaveStartup it
        elif grows then
            it.FullRate <- maxRate it
            it.FullRounds <- 0
        elif not sample.IsAppLimited && not it.IsRoundPeerLimited then
            it.FullRounds <- it.FullRounds + 1
            if it.FullRounds >= 3 then leaveStartup it

    /// At the end of a round with losses outside of probes: the short-term bounds follow the path down (5.5.10.3).
    let private adaptShort isEmpty (it: BbrState) =
        let sent = it.RoundLost + it.RoundAcked
        let ofPath = 2L * (int64 it.PathLoss * sent >>> LossTolerance.ShareBits) + 2L * int64 it.Packet

        if it.RoundLost > ofPath && (not isEmpty || isTooMuch it.RoundLost sent true it) then
            let before = if it.ShortRate = System.Int64.MaxValue then maxRate it else it.ShortRate
            it.ShortRate <- max (min before it.RoundRate) (before * 7L / 10L)
            let flight = if it.ShortFlight = none then it.Window else it.ShortFlight
            it.ShortFlight <- max (toInt (min (int64 flight) it.RoundAcked)) (toInt (int64 flight * 7L / 10L))

    /// At the end of a round all through which a long queue has stood: the path has become slower, and the rate follows it down. The
    /// filter of the highest rate would keep the queue for two cycles.
    let private adaptToQueue (it: BbrState) =
        if isLong it.RoundQueue it && it.RoundRate > 0L then
            it.ShortRate <- min (rate it) it.RoundRate

    let private endRound (sample: inref<CongestionSample>) (it: BbrState) =
        match it.Phase with
        | BbrPhase.Startup -> judgeStartup &sample it
        | BbrPhase.Down
        | BbrPhase.Cruise
        | BbrPhase.Drain
        | BbrPhase.ProbeRtt ->
            adaptShort it.IsRoundEmpty it
            adaptToQueue it
        | BbrPhase.Up ->
            if it.LongFlight < none && it.Window >= it.LongFlight then
                // The long-term bound grows by 1, 2, 4 and so on packets a round while it limits, and the rate with it.
                it.LongFlight <- toInt (int64 it.LongFlight + int64 it.Growth * int64 it.Packet)
                it.Growth <- min 4096 (2 * it.Growth)
                it.FullRounds <- 0
            elif maxRate it >= it.ProbedRate + it.ProbedRate / 4L then
                it.ProbedRate <- maxRate it
                it.FullRounds <- 0
            elif not sample.IsAppLimited then
                it.FullRounds <- it.FullRounds + 1
        | _ -> ()

        // All acknowledgements of the last probe are in: older rates are forgotten (5.5.6).
        if it.IsProbing && it.Phase <> BbrPhase.Up && it.Rounds > it.SinceRound then
            it.IsProbing <- false

            if not sample.IsAppLimited && it.CycleRate > 0L then
                it.LastCycleRate <- it.CycleRate
                it.CycleRate <- 0L

        it.RoundAcked <- 0L
        it.RoundLost <- 0L
        it.RoundRanges <- 0
        it.RoundRate <- 0L
        it.LastRoundQueue <- it.RoundQueue
        it.RoundQueue <- Time.never
        it.WasRoundEmpty <- it.IsRoundEmpty
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
            if flight <= bdp EvenGain it || it.Rounds - it.SinceRound >= 3L then
                startDown now it
                // What is known of the rate is from a single round: the first probe comes soon.
                it.ProbeRound <- it.Rounds + 4L
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
            elif it.LongFlight < none && sample.SentFlight > it.LongFlight then
                it.LongFlight <- sample.SentFlight
        | _ -> ()

    // ---- The window (5.6.4) ----

    /// A receiver that hides the delay must not make it endless.
    let private mostWayBack = Time.milliseconds 300

    let private smallPackets = 128

    /// What is in flight while acknowledgements wait on their way back: round trips are longer, and our packets hardly wait in a queue.
    let private wayBack (sample: inref<CongestionSample>) (it: BbrState) =
        if sample.HasQueueing && it.IsFull && sample.Queueing <= max (Time.milliseconds 4) (it.LeastRtt / 8L) then
            let roundTrip = min sample.Smoothed sample.RoundTrip
            let wait = max 0L<us> (min mostWayBack (roundTrip - it.LeastRtt - sample.Queueing))
            rate it * int64 wait / 1_000_000L
        else
            0L

    let private setWindow (sample: inref<CongestionSample>) (it: BbrState) =
        let extra = if it.IsFull then max it.ExtraAcked it.LastExtraAcked else 0
        let least = leastPackets * it.Packet
        // Three trains of a millisecond, for those that are under way at either end.
        let train = min 65_000L (pacingRate it / 1_000L)
        let trains = if train > int64 (2 * it.Packet) then toInt (3L * train) else least
        let target = max trains (toInt (int64 (bdp (windowGain it) it) + int64 extra + wayBack &sample it))

        let grown = toInt (int64 it.Window + int64 sample.Bytes)

        if it.IsFull then
            it.Window <- min grown target
        elif it.HeldRound = System.Int64.MaxValue then
            // Slow start; a small window without any queue grows three times a round trip (draft-kazuho-ccwg-rapid-start): what it may
            // be too much by is little. It pauses while a queue shows, and what is not used does not grow.
            if it.Queues = 0 then
                let isSmall = it.Window < smallPackets * it.Packet && it.IsRoundEmpty && it.WasRoundEmpty
                let gain = if isSmall then 3L else 2L
                let grown = int64 it.Window + (gain - 1L) * int64 sample.Bytes
                it.Window <- toInt (max (int64 it.Window) (min (gain * int64 sample.FlightBefore) grown))

        let bound =
            match it.Phase with
            | BbrPhase.Startup -> none
            | BbrPhase.Up
            | BbrPhase.Refill -> it.LongFlight
            | BbrPhase.Cruise
            | BbrPhase.ProbeRtt -> min it.ShortFlight (withHeadroom it.LongFlight)
            | _ -> min it.ShortFlight it.LongFlight

        it.Window <- max least (min it.Window bound)

        if it.Phase = BbrPhase.ProbeRtt then
            it.Window <- min it.Window (max least (bdp HalfGain it))

    /// Takes a sample; `it` is the caller's own.
    let observe (sample: inref<CongestionSample>) (it: BbrState) =
        it.Delivered <- sample.Delivered
        if it.Random = 0u then it.Random <- sample.Salt ||| 1u

        // Losses that were none: what was learnt from them is forgotten.
        if sample.SpuriousPackets > 0 then resetShort it

        it.RoundAcked <- it.RoundAcked + int64 sample.Bytes
        it.RoundLost <- it.RoundLost + int64 sample.LostBytes
        it.RoundRanges <- it.RoundRanges + sample.LostRanges
        it.IsRoundEmpty <- it.IsRoundEmpty && sample.IsQueueEmpty
        it.RoundQueue <- min it.RoundQueue (if sample.HasQueueing then sample.Queueing else 0L<us>)
        it.IsRoundPeerLimited <- it.IsRoundPeerLimited || sample.IsPeerLimited
        learnPathLoss &sample it

        if sample.Bytes > 0 then
            observeRtt &sample it

            if sample.DeliveryRate > 0L then
                it.RoundRate <- max it.RoundRate sample.DeliveryRate

                if not sample.IsAppLimited || sample.DeliveryRate >= maxRate it then
                    it.CycleRate <- max it.CycleRate sample.DeliveryRate

            if it.Phase = BbrPhase.Startup then
                observeQueue &sample it
                judgeStartupLosses it

            observeAggregation &sample it

            if sample.PriorDelivered >= it.RoundEnd then
                it.Rounds <- it.Rounds + 1L
                it.RoundEnd <- sample.Delivered
                endRound &sample it

            advance &sample it
            checkProbeRtt &sample it
            if isKnown it then setWindow &sample it
