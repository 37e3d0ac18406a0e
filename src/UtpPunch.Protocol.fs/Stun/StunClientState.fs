namespace UtpPunch.Protocol

/// What became of a request.
[<NoComparison; RequireQualifiedAccess>]
type internal Reply =
    | Pending
    | Mapped of mapped: Endpoint * other: Endpoint voption
    | Refused of code: int * reason: string
    /// Answered from another place than the one that was asked for.
    | Misplaced
    | Silent

/// One request, sent until it is answered or its time is up.
[<NoComparison>]
type internal Ask =
    {
        Id: StunId
        Remote: Endpoint
        /// Where the answer must come from.
        Source: Endpoint
        Datagram: Owned
        Sends: int
        LastSentAt: Instant
        NextAt: Instant
        GivesUpAt: Instant
        Reply: Reply
        /// Something came with its id that says nothing.
        IsGarbled: bool
    }

/// What the requests under way are for. The filter comes before the mapping: to learn that, the other address is written to.
[<Struct; RequireQualifiedAccess>]
type internal Stage =
    | Asking
    | Filtering
    | Mapping
    | Comparing
    | Over

/// Asks STUN servers what the way to them looks like (RFC 8489, 6.2.1; RFC 5780, 4.3 and 4.4). It takes in every datagram
/// of its socket that looks like STUN, and ignores what answers none of its requests.
///
/// The socket must be one from which the servers' other address has not been written to lately, or the NAT lets in what it would filter.
[<NoEquality; NoComparison>]
type StunClient =
    internal
        {
            Options: StunOptions
            Random: Random
            Now: Instant
            Stage: Stage
            /// Of the servers, the one that is asked.
            Server: int
            Asks: Ask[]
            /// From the first answer on.
            Report: StunReport voption
            Other: Endpoint
            RoundTrip: Duration voption
            StartedAt: Instant
        }
