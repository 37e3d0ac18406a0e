namespace UtpPunch.Protocol

/// Spreads packets over the round trip at the rate that the congestion control asks for (RFC 9002, 7.7), in trains of a millisecond or
/// two: whole windows sent at once overflow short queues, and a timer for each packet costs more than it gives.
module internal Pacing =
    /// Below that, timers are too coarse, and the window limits well enough.
    let private least = Time.milliseconds 1

    /// A train of full length takes no longer than a timer: about 4 Gbit/s.
    let private fastest = int64 Train.Limit * 1_000_000L / 128L

    /// What a wake-up that comes late may make up for. Without a wake-up nothing is owed: what was not used is lost.
    let private mostLate = Time.milliseconds 20

    /// Bytes per second, or `Int64.MaxValue` where nothing is paced.
    let private rateOf (connection: Connection) =
        let rate = connection.Congestion.PacingRate

        if rate >= fastest || connection.Rtt.Least < least then
            System.Int64.MaxValue
        else
            max 1L rate

    /// The bytes of a train: those of a millisecond, and, on short paths, where a burst does little harm, more (as Linux has it); at
    /// least two packets.
    let private quantumOf rate (connection: Connection) =
        if rate = System.Int64.MaxValue then
            Train.Limit
        else
            let short = 65_536L >>> int (min 32L (int64 connection.Rtt.Least / 512L))
            let two = 2L * int64 (Scoreboard.payload connection.Board + Packet.HeaderLength)
            int (max two (min (int64 Train.Limit) (rate / 1_000L + short)))

    /// What may be sent in this step.
    [<Struct; NoComparison; NoEquality>]
    type Allowance =
        { Rate: int64
          Quantum: int
          mutable NextAt: Instant }

        member this.IsOpen(now: Instant) = this.NextAt <= now

        member this.Charge(bytes: int) =
            if this.Rate <> System.Int64.MaxValue then
                this.NextAt <- this.NextAt + Time.microseconds (int64 bytes * 1_000_000L / this.Rate)

    let start (now: Instant) (connection: Connection) =
        let rate = rateOf connection

        if rate = System.Int64.MaxValue then
            { Rate = rate; Quantum = Train.Limit; NextAt = now }
        else
            let quantum = quantumOf rate connection
            let isLate = connection.Board.Rate.PacedUntil <> Time.never
            let credit = if isLate then mostLate else Time.microseconds (int64 quantum * 1_000_000L / rate)
            { Rate = rate; Quantum = quantum; NextAt = max connection.Board.Rate.NextAt (now - credit) }

    /// Notes what was sent, and what has held back the rest. A step that sends nothing does not change the pace.
    let finish (now: Instant) window sent (allowance: inref<Allowance>) (connection: Connection) =
        let rate = connection.Board.Rate
        let isClosed = allowance.NextAt > now

        if rate.IsUsed then
            let hasDue = isClosed && Sender.hasDue window connection.Sender
            if sent then rate.NextAt <- allowance.NextAt
            rate.PacedUntil <- if hasDue then allowance.NextAt else Time.never

            if isClosed then
                ()
            elif Sender.isHeldByPeer connection.Sender then
                rate.IsPeerLimited <- true
            elif Sender.hasQueued connection.Sender || Scoreboard.hasLost connection.Board then
                rate.IsWindowLimited <- true
            elif Scoreboard.flight connection.Board < window then
                DeliveryRate.limitByApplication (Scoreboard.flight connection.Board) rate
