namespace UtpPunch.Protocol

/// What the acknowledgements of one step said.
[<Struct; NoComparison>]
type Acknowledgement =
    {
        /// Bytes newly acknowledged, cumulatively or selectively.
        Bytes: int
        /// The packets that carried them.
        Packets: int
        /// Bytes in flight before them.
        Flight: int
        /// How much longer than at best our packets are under way; none while the peer measures nothing.
        Queueing: Duration voption
        /// Packets wait where that does not show, in the peer's socket: round trips are longer, and neither direction's way is.
        RttInflated: bool
        /// No queue shows: packets are hardly longer under way than at best. Never while the peer measures nothing.
        QueueEmpty: bool
    }

/// Where a congestion controller plugs in. A controller is a value: each call gives the next one. Integers only.
[<AllowNullLiteral>]
type ICongestion =
    /// Bytes that may be in flight. Never less than one packet.
    abstract Window: int
    abstract Acknowledged: Acknowledgement -> ICongestion
    /// So many packets were found lost, by acknowledgements or by age; called once for each, and before `Tolerates` is asked about them.
    abstract Missed: packets: int -> ICongestion
    /// What was found lost last is the path's noise, and no congestion: it asks for no smaller window.
    abstract Tolerates: bool
    /// Packets were lost, and that is not tolerated; called at most once a round trip.
    abstract Lost: unit -> ICongestion
    /// Nothing was acknowledged for a whole retransmission time-out, with that many bytes in flight.
    abstract TimedOut: flight: int -> ICongestion
    /// A full packet carries that many bytes from here on. When these are more than before, at least two of them may be in flight; when
    /// they are fewer, the window stays what it is.
    abstract Resized: packet: int -> ICongestion
