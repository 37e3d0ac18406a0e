namespace UtpPunch.Protocol

module private Fixed =
    /// The window is kept in 1/1024 byte, or its small steps would round to nothing.
    [<Literal>]
    let scale = 10

open Fixed

/// LEDBAT (RFC 6817) with slow start. It fills the path as long as its own queue stays below the target delay, and yields to
/// whoever makes it longer. Without delay samples (the npm package sends none) it grows and halves like Reno.
[<Sealed>]
type Ledbat private (packet: int, smallest: int, target: Duration, earned: int64, lent: int64, threshold: int) =
    /// What may be in flight: what acknowledgements have earned, and at least one packet (RFC 6817, 2.4.2: MIN_CWND), or two where these
    /// have grown, or where one was lost. What nobody has earned goes as the packets become smaller again.
    let scaled = max earned (max lent (int64 packet <<< scale))

    // RFC 6928: a first window of ten packets.
    new(packet: int, target: Duration) =
        Ledbat(packet, packet, target, int64 (10 * packet) <<< scale, 0L, System.Int32.MaxValue)

    member private _.With(fresh: int64, lent: int64, threshold: int) : ICongestion =
        // At least a packet of the smallest size so far; the ceiling only guards the arithmetic.
        let fresh = max (int64 smallest <<< scale) (min (1L <<< 40) fresh)
        Ledbat(packet, smallest, target, fresh, lent, threshold)

    static member private Two(packet: int) = int64 (2 * packet) <<< scale

    interface ICongestion with
        member _.Window = int (scaled >>> scale)

        member this.Acknowledged acknowledgement =
            let window = int (scaled >>> scale)
            let bytes = acknowledgement.Bytes

            let queueing =
                match acknowledgement.Queueing with
                | ValueSome queueing -> queueing
                | ValueNone -> 0L<us>

            // RFC 6817, 2.4.2: a window that is not in use does not grow.
            let allowed = int64 acknowledgement.Flight + int64 (max bytes packet)

            if window < threshold && queueing * 10L < target * 9L then
                this.With(max earned (min (earned + (int64 bytes <<< scale)) (allowed <<< scale)), lent, threshold)
            else
                // cwnd += GAIN * off_target * bytes_newly_acked * MSS / cwnd, with off_target between -10 and 1 and a GAIN of 1.
                let offTarget = int64 (max (target - queueing) (-10L * target))

                // Scaled before it is divided; 30 bits of bytes leave room for ten targets.
                let change =
                    ((offTarget * int64 (min bytes (1 <<< 30)) / 1_000L <<< scale) / (int64 target / 1_000L))
                    * int64 packet
                    / int64 (max packet window)

                let threshold = min threshold (max window packet)

                if change > 0L then
                    this.With(max earned (min (earned + change) (allowed <<< scale)), lent, threshold)
                else
                    this.With(earned + change, 0L, threshold)

        member this.Lost() =
            // RFC 5681, equation 4: two packets are left, or the next loss could only show by the clock. A time-out leaves one.
            let half = max (2 * packet) (int (scaled >>> scale) / 2)
            this.With(max (Ledbat.Two smallest) (earned / 2L), Ledbat.Two packet, half)

        member this.TimedOut flight = this.With(0L, 0L, max (2 * packet) (flight / 2))

        member _.Resized size =
            let two = Ledbat.Two size
            let lent = if size > packet then two else min lent two
            Ledbat(size, min size smallest, target, earned, lent, threshold)
