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
        Patience: Duration
        /// How long a test of the behaviour waits for an answer that a NAT may swallow. Two such tests run one after the other.
        TestPatience: Duration
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
        /// By comparing two servers, `AddressAndPortDependent` stands for both that depend on the remote side.
        Mapping: MappingBehaviour
        Filtering: FilteringBehaviour
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

[<NoComparison; RequireQualifiedAccess>]
type StunEvent = Received of from: Endpoint * datagram: Bytes

[<NoComparison; RequireQualifiedAccess>]
type StunEffect =
    | Send of remote: Endpoint * datagram: Bytes
    /// The last effect.
    | Done of outcome: StunOutcome

/// Asks STUN servers what the way to them looks like (RFC 8489, 6.2.1; RFC 5780, 4.3 and 4.4). It takes in every datagram
/// of its socket that looks like STUN, and ignores what answers none of its requests.
///
/// The socket must be one from which the servers' other address has not been written to lately, or the NAT lets in what it would filter.
[<Sealed; NoEquality; NoComparison>]
type StunClient

module StunClient =
    /// The RFC's own times, of which 3 s for a test hold three requests.
    [<CompiledName "Standard">]
    val standard: servers: Endpoint[] -> StunOptions

    /// Nothing is sent before the first step. Nobody else may draw from this generator: ids must not come twice.
    [<CompiledName "Start">]
    val start: options: StunOptions -> random: Random -> now: Instant -> StunClient

    /// Takes in what has arrived, then does what is due. A clock that goes back stands still.
    [<CompiledName "Step">]
    val step: now: Instant -> events: StunEvent[] -> client: StunClient -> struct (StunClient * StunEffect[])

    /// When to step next if nothing arrives before; never when it is done.
    [<CompiledName "Deadline">]
    val deadline: client: StunClient -> Instant
