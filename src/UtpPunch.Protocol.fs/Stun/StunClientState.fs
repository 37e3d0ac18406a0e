namespace UtpPunch.Protocol

/// The state of a request.
[<NoComparison; RequireQualifiedAccess>]
type internal Reply =
    | Pending
    | Mapped of mapped: Endpoint * other: Endpoint voption
    | Refused of code: int * reason: string
    /// Answered from an endpoint other than the one that was requested.
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
        /// A response with its id was invalid.
        IsGarbled: bool
    }

/// The purpose of the outstanding requests. The filter is tested first, because testing the mapping sends to the other address.
[<Struct; RequireQualifiedAccess>]
type internal Stage =
    | Asking
    | Filtering
    | Mapping
    | Comparing
    | Over

/// Asks STUN servers for the public endpoint and the NAT's behavior (RFC 8489, 6.2.1; RFC 5780, 4.3 and 4.4). It takes every datagram
/// of its socket that looks like STUN, and ignores responses to other requests.
///
/// The socket must not have sent to the servers' other address lately, or the NAT admits what it would otherwise filter.
[<NoEquality; NoComparison>]
type StunClient =
    internal
        {
            Options: StunOptions
            Random: Random
            Now: Instant
            Stage: Stage
            /// The index of the server that is asked.
            Server: int
            Asks: Ask[]
            /// Known from the first answer on.
            Report: StunReport voption
            Other: Endpoint
            RoundTrip: Duration voption
            StartedAt: Instant
        }
