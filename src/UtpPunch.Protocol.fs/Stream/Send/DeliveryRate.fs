namespace UtpPunch.Protocol

/// What had been delivered when a train was sent: the per-packet state of draft-ietf-ccwg-bbr, 4.1.1, kept once for each train. Immutable.
[<Sealed; AllowNullLiteral>]
type internal Departure
    (
        firstSentAt: Instant,
        deliveredAt: Instant,
        delivered: int64,
        lost: int64,
        flight: int,
        isAppLimited: bool,
        isAlone: bool
    ) =
    /// When the packet was sent whose acknowledgement was the newest at that time: since then, what follows was sent.
    member _.FirstSentAt = firstSentAt
    member _.DeliveredAt = deliveredAt
    member _.Delivered = delivered
    /// All bytes found lost until then.
    member _.Lost = lost
    /// Bytes in flight, this train included.
    member _.Flight = flight
    member _.IsAppLimited = isAppLimited
    /// Whether the train has one packet.
    member _.IsAlone = isAlone

/// How fast the path delivers (draft-ietf-ccwg-bbr, 4.1), and how fast the stream sends. Changed in place, and copied with the scoreboard.
/// An object of its own, since streams that send nothing share one.
[<NoComparison; NoEquality>]
type internal DeliveryRate =
    {
        /// Whether the stream has sent anything; if not, nothing may be changed.
        IsUsed: bool
        /// Bytes acknowledged for the first time, and when that last happened.
        mutable Delivered: int64
        mutable DeliveredAt: Instant
        /// When the newest acknowledged packet was sent.
        mutable FirstSentAt: Instant
        /// Bytes that were ever found lost, and the runs that they were in.
        mutable Lost: int64
        mutable LostRuns: int64
        /// Packets that had counted as lost, and have arrived without a retransmission.
        mutable Spurious: int64
        /// How much of that the congestion control knows.
        mutable ReportedLost: int64
        mutable ReportedRuns: int64
        mutable ReportedSpurious: int64
        /// The last sample, in bytes per second.
        mutable Latest: int64
        /// Until that much is delivered, samples may show the application's rate instead of the path's; 0 for no.
        mutable AppLimitedUntil: int64
        /// The newest of the packets acknowledged in this step, when it was sent, and its place among all transmissions.
        mutable Newest: Departure
        mutable NewestSentAt: Instant
        mutable NewestOrder: int64
        /// The last round trip that was measured in this step; 0 for none.
        mutable RoundTrip: Duration
        /// Pacing: when the next packet may leave; and the same while one waits for that, else `Time.never`.
        mutable NextAt: Instant
        mutable PacedUntil: Instant
        /// Since the congestion control was told: its window has held something back, or the peer's has.
        mutable IsWindowLimited: bool
        mutable IsPeerLimited: bool
    }

    /// That of all streams that have sent nothing; never changed.
    static member val Initial =
        { IsUsed = false
          Delivered = 0L
          DeliveredAt = 0L<us>
          FirstSentAt = 0L<us>
          Lost = 0L
          LostRuns = 0L
          Spurious = 0L
          ReportedLost = 0L
          ReportedRuns = 0L
          ReportedSpurious = 0L
          Latest = 0L
          AppLimitedUntil = 0L
          Newest = null
          NewestSentAt = 0L<us>
          NewestOrder = -1L
          RoundTrip = 0L<us>
          // Long ago; clocks may begin below zero.
          NextAt = -Time.never
          PacedUntil = Time.never
          IsWindowLimited = false
          IsPeerLimited = false }

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal DeliveryRate =
    let copy (rate: DeliveryRate) : DeliveryRate =
        if rate.IsUsed then { rate with Delivered = rate.Delivered } else rate

    /// One that may be changed.
    let own (rate: DeliveryRate) : DeliveryRate = if rate.IsUsed then rate else { rate with IsUsed = true }

    /// A train of `count` packets leaves; `flight` does not include it.
    let depart (now: Instant) flight length count (rate: DeliveryRate) =
        if flight = 0 then
            rate.FirstSentAt <- now
            rate.DeliveredAt <- now

        let isAppLimited = rate.AppLimitedUntil > 0L

        Departure(
            rate.FirstSentAt,
            rate.DeliveredAt,
            rate.Delivered,
            rate.Lost,
            flight + length,
            isAppLimited,
            (count = 1)
        )

    /// A packet that acknowledges something new has arrived. The system's stamp may be a little older than that of the last step.
    let acknowledged (at: Instant) (rate: DeliveryRate) = rate.DeliveredAt <- max rate.DeliveredAt at

    /// Packets are acknowledged for the first time; `departure` is null if their last transmission is not what was acknowledged.
    let arrive (departure: Departure) (sentAt: Instant) order length (rate: DeliveryRate) =
        rate.Delivered <- rate.Delivered + int64 length

        if
            not (isNull departure)
            && (isNull rate.Newest
                || sentAt > rate.NewestSentAt
                || sentAt = rate.NewestSentAt && order > rate.NewestOrder)
        then
            rate.Newest <- departure
            rate.NewestSentAt <- sentAt
            rate.NewestOrder <- order

    /// The place of the newest packet that was acknowledged in this step, if it was sent alone; otherwise -1.
    let newestAlone (rate: DeliveryRate) =
        if not (isNull rate.Newest) && rate.Newest.IsAlone then rate.NewestOrder else -1L

    /// A run is found lost.
    let lose length (rate: DeliveryRate) =
        rate.Lost <- rate.Lost + int64 length
        rate.LostRuns <- rate.LostRuns + 1L

    /// The congestion control knows of everything so far.
    let report (rate: DeliveryRate) =
        rate.Newest <- null
        rate.RoundTrip <- 0L<us>
        rate.IsWindowLimited <- false
        rate.IsPeerLimited <- false
        rate.ReportedLost <- rate.Lost
        rate.ReportedRuns <- rate.LostRuns
        rate.ReportedSpurious <- rate.Spurious

    /// Everything that was to be sent is sent, and more would have been allowed.
    let limitByApplication flight (rate: DeliveryRate) = rate.AppLimitedUntil <- max 1L (rate.Delivered + int64 flight)

    /// The step's acknowledgements are complete. Bytes per second, or 0: a packet that seems to have come back within less than `least`
    /// answers another transmission.
    let sample (least: Duration) (rate: DeliveryRate) : int64 =
        if rate.AppLimitedUntil > 0L && rate.Delivered > rate.AppLimitedUntil then
            rate.AppLimitedUntil <- 0L

        match rate.Newest with
        | null -> 0L
        | newest ->
            let sending = rate.NewestSentAt - newest.FirstSentAt
            let acknowledging = rate.DeliveredAt - newest.DeliveredAt
            let interval = max sending acknowledging
            rate.FirstSentAt <- max rate.FirstSentAt rate.NewestSentAt

            if interval <= 0L<us> || interval < least then
                0L
            else
                rate.Latest <- ((rate.Delivered - newest.Delivered) * 1_000_000L + int64 interval - 1L) / int64 interval
                rate.Latest
