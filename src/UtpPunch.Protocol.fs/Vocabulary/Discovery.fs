namespace UtpPunch.Protocol

/// Which STUN servers to ask, and for how long.
[<NoComparison>]
type StunOptions =
    {
        /// One or two. The second is asked when the first does not answer, and when the first has no other address: comparing what both
        /// see shows whether the mapping depends on the remote endpoint.
        Servers: Endpoint[]
        /// The socket's own endpoint, to determine whether there is a NAT. Its address must be the source address of the datagrams.
        Local: Endpoint voption
        /// For all servers together, until one has answered. RFC 8489 itself would wait for 39.5 s.
        Timeout: Duration
        /// How long a behavior test waits for an answer that a NAT may filter. There are two such tests, one after the other.
        TestTimeout: Duration
        /// Whether to determine the NAT's behavior too, or the public endpoint only.
        Behaviour: bool
    }

/// The result of a discovery.
[<NoComparison>]
type StunReport =
    {
        /// The server that answered.
        Server: Endpoint
        /// The endpoint that it sees (RFC 8489: the reflexive transport address).
        Mapped: Endpoint
        Local: Endpoint voption
        /// There is no NAT: the mapped endpoint is the local one.
        IsDirect: bool
        /// None when it was not found out. From two servers with one address each, `AddressAndPortDependent` may also be
        /// `AddressDependent`.
        Mapping: NatBehavior voption
        /// None when it was not found out.
        Filtering: NatBehavior voption
        /// The shortest; none when every request was sent more than once (Karn's algorithm).
        RoundTrip: Duration voption
    }

/// Why a discovery failed; with two servers, why the last one failed.
[<NoComparison; RequireQualifiedAccess>]
type StunFailure =
    | NoAnswer of after: Duration
    /// The server answered with an error (RFC 8489, 14.8).
    | Refused of code: int * reason: string
    /// All answers were malformed or had no address.
    | Nonsense

[<NoComparison; RequireQualifiedAccess>]
type StunOutcome =
    | Found of report: StunReport
    | Failed of failure: StunFailure
