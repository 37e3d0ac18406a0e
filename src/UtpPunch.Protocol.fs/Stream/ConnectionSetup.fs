namespace UtpPunch.Protocol

/// What a new stream begins with.
[<NoComparison; NoEquality>]
type internal ConnectionSetup =
    {
        ConnId: ConnId
        Remote: Endpoint
        Dialect: Dialect
        Options: StreamOptions
        /// How long the handshake may take.
        Timeout: Duration
        /// The hop limit of the first SYN, of a stream that the peer opens at the same time; 0 for any other.
        PrimingHops: byte
        /// The id that the SYN carries, in the dialect's numbering.
        Id: uint16
        /// The offsets of our clock, in a SYN-ACK and in all other packets; see `TimestampCheck`.
        HandshakeOffset: uint32
        Offset: uint32
        /// What the peers of a meeting have in common; null for any other stream.
        Meeting: MeetingKey
        Now: Instant
        /// Of the step that makes it.
        Generation: int64
    }
