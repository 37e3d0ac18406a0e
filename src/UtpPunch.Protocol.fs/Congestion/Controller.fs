namespace UtpPunch.Protocol

/// The acknowledgements of one step.
[<Struct; NoComparison>]
type internal Acknowledgement =
    {
        /// Bytes newly acknowledged, cumulatively or selectively.
        Bytes: int
        /// The packets that carried them.
        Packets: int
        /// Bytes in flight before them.
        Flight: int
        /// The queueing delay of our packets (RFC 6817); none while the peer measures nothing.
        Queueing: Duration voption
        /// Round trips are longer, and the delay of neither direction is: packets wait in the peer's socket.
        RttInflated: bool
        /// No queue shows: delays are hardly above the base delay. Never while the peer measures nothing.
        QueueEmpty: bool
    }

/// A congestion controller. A value: each call gives the next one. Integers only.
[<AllowNullLiteral>]
type internal ICongestion =
    /// Bytes that may be in flight. Never less than one packet.
    abstract Window: int
    abstract Acknowledged: Acknowledgement -> ICongestion
    /// Packets were found lost, by acknowledgements or by age. Each is reported once, before `Tolerates` is asked about it.
    abstract Missed: packets: int -> ICongestion
    /// What was found lost last is the path's own loss, not congestion: the window need not shrink.
    abstract Tolerates: bool
    /// Packets were lost, and that is not tolerated. At most once a round trip.
    abstract Lost: unit -> ICongestion
    /// Nothing was acknowledged for a whole retransmission time-out, with that many bytes in flight.
    abstract TimedOut: flight: int -> ICongestion
    /// A full packet carries that many bytes from here on. When these are more than before, at least two of them may be in flight; when
    /// they are fewer, the window stays what it is.
    abstract Resized: packet: int -> ICongestion
