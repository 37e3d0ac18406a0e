namespace UtpPunch.Protocol

[<NoComparison; RequireQualifiedAccess>]
type internal StunEvent = Received of from: Endpoint * datagram: Borrowed

[<NoComparison; RequireQualifiedAccess>]
type internal StunEffect =
    | Send of remote: Endpoint * datagram: Owned
    /// The last effect.
    | Done of outcome: StunOutcome

/// Asks STUN servers what the way to them looks like (RFC 8489, 6.2.1; RFC 5780, 4.3 and 4.4). It takes in every datagram
/// of its socket that looks like STUN, and ignores what answers none of its requests.
///
/// The socket must be one from which the servers' other address has not been written to lately, or the NAT lets in what it would filter.
[<Sealed; NoEquality; NoComparison>]
type internal StunClient

module internal StunClient =
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
