namespace UtpPunch.Protocol

/// What the acknowledgements of one step said.
[<Struct; NoComparison>]
type Acknowledgement =
    {
        /// Bytes newly acknowledged, cumulatively or selectively.
        Bytes: int
        /// Bytes in flight before them.
        Flight: int
        /// How much longer than at best our packets are under way; none while the peer measures nothing.
        Queueing: Duration voption
    }

/// Where a congestion controller plugs in. A controller is a value: each call gives the next one. Integers only.
[<AllowNullLiteral>]
type ICongestion =
    /// Bytes that may be in flight. Never less than one packet.
    abstract Window: int
    abstract Acknowledged: Acknowledgement -> ICongestion
    /// Packets were lost; called at most once a round trip.
    abstract Lost: unit -> ICongestion
    /// Nothing was acknowledged for a whole retransmission time-out, with that many bytes in flight.
    abstract TimedOut: flight: int -> ICongestion
    /// A full packet carries that many bytes from here on. When these are more than before, at least two of them may be in flight; when
    /// they are fewer, the window stays what it is.
    abstract Resized: packet: int -> ICongestion
