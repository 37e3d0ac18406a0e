namespace UtpPunch.Protocol

module private Fixed =
    /// The window is kept in 1/1024 byte, since its small steps would round to nothing.
    [<Literal>]
    let scale = 10

open Fixed

/// LEDBAT (RFC 6817) with slow start. It fills the path as long as the queue stays below the target delay, and yields to other traffic
/// that makes it longer. Without delay samples (the npm package sends none) it grows and halves like Reno.
[<Sealed>]
type internal Ledbat
    internal
    (
        packet: int,
        smallest: int,
        target: Duration,
        earned: int64,
        lent: int,
        threshold: int,
        tolerance: LossTolerance,
        isTolerated: bool
    ) =

    // RFC 6928: a first window of ten packets.
    static member Start(from: CongestionStart) : ICongestionController =
        let packet = from.Packet
        let isNew = from.Window = 0
        let window = if isNew then 10 * packet else max packet from.Window
        let threshold = if isNew then System.Int32.MaxValue else window
        Ledbat(packet, packet, from.TargetDelay, int64 window <<< scale, 0, threshold, LossTolerance.none, false)

    // The state, for snapshots.
    member internal _.Packet = packet
    member internal _.Smallest = smallest
    member internal _.Target = target
    member internal _.Earned = earned
    member internal _.Lent = lent
    member internal _.Threshold = threshold
    member internal _.Tolerance = tolerance
    member internal _.IsTolerated = isTolerated

    /// The congestion window: what acknowledgements have earned, and at least one packet (RFC 6817, 2.4.2: MIN_CWND), or two (`lent`) after
    /// packets have grown or one was lost. What was not earned is lost when packets become smaller.
    member private _.Size = max (int (earned >>> scale)) (max lent packet)

    member private _.With(fresh: int64, lent: int, threshold: int, tolerance: LossTolerance) =
        // At least a packet of the smallest size so far; the ceiling only guards the arithmetic.
        let fresh = max (int64 smallest <<< scale) (min (1L <<< 40) fresh)
        Ledbat(packet, smallest, target, fresh, lent, threshold, tolerance, false)

    member private this.Acknowledged(sample: inref<CongestionSample>) =
        let window = this.Size
        let tolerance = LossTolerance.acknowledged sample.Packets sample.IsQueueEmpty tolerance
        let bytes = sample.Bytes
        let queueing = if sample.HasQueueing then sample.Queueing else 0L<us>

        // RFC 6817, 2.4.2: a window that is not in use does not grow.
        let allowed = int64 sample.FlightBefore + int64 (max bytes packet)

        // Before the first congestion response the capacity is unknown, and a queue that does not show in the delay would have to
        // overflow first: while there is one, the window grows slowly (RFC 9406).
        let isInflated = sample.IsRttInflated && threshold = System.Int32.MaxValue
        let isShort = queueing * 10L < target * 9L

        if window < threshold && not isInflated && isShort then
            this.With(
                max earned (min (earned + (int64 bytes <<< scale)) (allowed <<< scale)),
                lent,
                threshold,
                tolerance
            )
        else
            // cwnd += GAIN * off_target * bytes_newly_acked * MSS / cwnd, with off_target between -10 and 1 and a GAIN of 1.
            let offTarget = int64 (max (target - queueing) (-10L * target))

            // Scaled before it is divided; 30 bits of bytes leave room for ten targets.
            let change =
                ((offTarget * int64 (min bytes (1 <<< 30)) / 1_000L <<< scale) / (int64 target / 1_000L))
                * int64 packet
                / int64 (max packet window)

            let threshold = if isInflated && isShort then threshold else min threshold (max window packet)

            if change > 0L then
                this.With(max earned (min (earned + change) (allowed <<< scale)), lent, threshold, tolerance)
            else
                this.With(earned + change, 0, threshold, tolerance)

    member private this.Missed(packets: int, isFirst: bool, hasSack: bool) =
        let tolerance = LossTolerance.missed packets (this.Size / packet) tolerance

        if not isFirst then
            Ledbat(packet, smallest, target, earned, lent, threshold, tolerance, false)
        elif hasSack && LossTolerance.isAll tolerance then
            Ledbat(packet, smallest, target, earned, lent, threshold, tolerance, true)
        else
            // RFC 5681, equation 4: two packets are left, or the next loss could only show by the clock. A time-out leaves one.
            let half = max (2 * packet) (this.Size / 2)

            this.With(
                max (int64 (2 * smallest) <<< scale) (earned / 2L),
                2 * packet,
                half,
                LossTolerance.answered tolerance
            )

    interface ICongestionController with
        member this.Window = this.Size
        member _.PacingRate = System.Int64.MaxValue
        member this.Phase = if this.Size < threshold then "slow-start" else "avoidance"

        member this.Observe sample =
            let next = if sample.Bytes > 0 then this.Acknowledged &sample else this

            if sample.LostPackets > 0 || sample.IsFirstLoss then
                next.Missed(sample.LostPackets, sample.IsFirstLoss, sample.HasSack)
            else
                next

        member _.IsLossTolerated = isTolerated

        member this.TimedOut flight =
            // RFC 5681, 3.1: once for all time-outs in a row. After the first one nothing is left to be halved.
            let isRepeated = this.Size <= packet && threshold < System.Int32.MaxValue
            this.With(0L, 0, max (2 * packet) (if isRepeated then threshold else flight / 2), tolerance)

        member _.Resized size =
            let two = 2 * size
            let lent = if size > packet then two else min lent two
            Ledbat(size, min size smallest, target, earned, lent, threshold, tolerance, false)

        member this.Restarted(_, _) = this
