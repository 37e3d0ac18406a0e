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
        /// The id that the SYN carries, in the dialect's numbering.
        Id: uint16
        Now: Instant
        /// Of the step that makes it.
        Generation: int64
    }
