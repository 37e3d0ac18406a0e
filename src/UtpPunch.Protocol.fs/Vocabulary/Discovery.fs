namespace UtpPunch.Protocol

/// Whom to ask, and for how long.
[<NoComparison>]
type StunOptions =
    {
        /// One or two. The second is asked when the first does not answer, and when the first has no other address: what both
        /// see tells whether the mapping depends on who is written to.
        Servers: Endpoint[]
        /// The socket's own endpoint, to tell whether there is a NAT at all. Its address must be the one that the datagrams leave from.
        Local: Endpoint voption
        /// For all servers together, until one has answered. RFC 8489 itself would wait for 39.5 s.
        Timeout: Duration
        /// How long a test of the behaviour waits for an answer that a NAT may swallow. Two such tests run one after the other.
        TestTimeout: Duration
        /// Whether to find out how the NAT behaves, or the public endpoint only.
        Behaviour: bool
    }

/// What was found out.
[<NoComparison>]
type StunReport =
    {
        /// The server that answered.
        Server: Endpoint
        /// Where it sees us.
        Mapped: Endpoint
        Local: Endpoint voption
        /// There is no NAT: the mapped endpoint is the local one.
        IsDirect: bool
        /// None when it was not found out. From two servers with one address each, `AddressAndPortDependent` may also be
        /// `AddressDependent`.
        Mapping: NatBehavior voption
        /// None when it was not found out.
        Filtering: NatBehavior voption
        /// The shortest; none when every request had to be sent more than once, since then nobody knows which was answered.
        RoundTrip: Duration voption
    }

/// Why nothing was found out. With two servers, why not from the last.
[<NoComparison; RequireQualifiedAccess>]
type StunFailure =
    | NoAnswer of after: Duration
    /// The server answered with an error (RFC 8489, 14.8).
    | Refused of code: int * reason: string
    /// All that came in answer was malformed, or had no address in it.
    | Nonsense

[<NoComparison; RequireQualifiedAccess>]
type StunOutcome =
    | Found of report: StunReport
    | Failed of failure: StunFailure
