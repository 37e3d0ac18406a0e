namespace UtpPunch.Protocol

/// Where BBR stands (draft-ietf-ccwg-bbr, 3.4).
[<Struct; RequireQualifiedAccess>]
type internal BbrPhase =
    /// Looks for the path's rate, which it doubles each round trip.
    | Startup
    /// Lets the queue of the start drain.
    | Drain
    /// ProbeBW_DOWN: drains the queue of the last probe.
    | Down
    /// ProbeBW_CRUISE: keeps the rate that was found.
    | Cruise
    /// ProbeBW_REFILL: fills the path again before the next probe.
    | Refill
    /// ProbeBW_UP: probes for more.
    | Up
    /// Looks for the least round trip, with half of the window.
    | ProbeRtt

/// What BBR knows. Changed in place by the call that has made the copy. Rates are in bytes per second, times in microseconds.
[<NoComparison; NoEquality>]
type internal BbrState =
    {
        mutable Phase: BbrPhase
        mutable Packet: int
        mutable Window: int

        // Round trips: one ends when a packet is acknowledged that was sent after the last one ended (4.3).
        mutable Delivered: int64
        mutable RoundEnd: int64
        mutable Rounds: int64
        /// In this one: bytes acknowledged, lost, the runs that were lost, and the highest rate.
        mutable RoundAcked: int64
        mutable RoundLost: int64
        mutable RoundRanges: int
        mutable RoundRate: int64
        /// The least queueing delay in it.
        mutable RoundQueue: Duration
        mutable LastRoundQueue: Duration
        /// Only samples without a queue so far.
        mutable IsRoundEmpty: bool
        /// The same of the last one.
        mutable WasRoundEmpty: bool
        mutable IsRoundPeerLimited: bool

        // The model of the path (2.9 to 2.12).
        /// The highest rate of this probing cycle, and of the last one.
        mutable CycleRate: int64
        mutable LastCycleRate: int64
        mutable LeastRtt: Duration
        mutable LeastRttAt: Instant
        /// The same over five seconds, to see when a probe of the round trip is due.
        mutable RecentRtt: Duration
        mutable RecentRttAt: Instant
        /// Short-term bounds after losses, and the long-term one that a probe has found; the largest numbers for none.
        mutable ShortRate: int64
        mutable ShortFlight: int
        mutable LongFlight: int
        /// The most that was acknowledged above the rate, in this half of ten rounds and in the last.
        mutable ExtraAcked: int
        mutable LastExtraAcked: int
        mutable ExtraRound: int64
        mutable ExtraSince: Instant
        mutable ExtraBytes: int64
        /// The share of packets that the path loses without a queue, in 2^-28.
        mutable PathLoss: int
        /// The packets that it is taken over.
        mutable Judged: int

        // Startup.
        mutable FullRate: int64
        mutable FullRounds: int
        mutable IsFull: bool
        /// Samples in a row that showed a queue, and the round in which there were enough: the window grows no more.
        mutable Queues: int
        mutable HeldRound: int64

        // The cycle of probes.
        /// When the phase began, and in which round.
        mutable Since: Instant
        mutable SinceRound: int64
        /// When the next probe is due.
        mutable ProbeAt: Instant
        mutable ProbeRound: int64
        /// The rate when the probe began, and how fast the long-term bound grows.
        mutable ProbedRate: int64
        mutable Growth: int
        /// The acknowledgements of the last probe have not all arrived: the cycle's rates are not complete.
        mutable IsProbing: bool
        /// The last probe was ended by losses.
        mutable WasTooHigh: bool
        /// Since when the window of a probe of the round trip is reached; `Time.never` for not yet.
        mutable ProbeRttSince: Instant
        mutable ProbeRttRound: int64
        mutable WindowBefore: int
        mutable Random: uint32
    }
