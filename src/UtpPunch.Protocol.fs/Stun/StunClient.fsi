namespace UtpPunch.Protocol

[<NoComparison; RequireQualifiedAccess>]
type StunEvent = Received of from: Endpoint * datagram: Borrowed

[<NoComparison; RequireQualifiedAccess>]
type StunEffect =
    | Send of remote: Endpoint * datagram: Owned
    /// The last effect.
    | Done of outcome: StunOutcome

/// Discovers the public endpoint and the NAT's behavior (RFC 8489, 6.2.1; RFC 5780, 4.3 and 4.4). It is given every datagram of its socket
/// that looks like STUN, and ignores those that answer none of its requests.
///
/// The socket must not have sent to the servers' other address lately, or the NAT would admit what it otherwise filters.
[<Sealed; NoEquality; NoComparison>]
type StunClient

module StunClient =
    /// The time-outs of RFC 8489. A behavior test of 3 s has time for three requests.
    [<CompiledName "Standard">]
    val standard: servers: Endpoint[] -> StunOptions

    /// Nothing is sent before the first step. The generator must not be used elsewhere: ids must be unique.
    [<CompiledName "Start">]
    val start: options: StunOptions -> random: Random -> now: Instant -> StunClient

    /// Takes in the events, then does what is due. A clock that goes back stands still.
    [<CompiledName "Step">]
    val step: now: Instant -> events: StunEvent[] -> client: StunClient -> struct (StunClient * StunEffect[])

    /// When to step next if nothing arrives before; `Time.never` when it is done.
    [<CompiledName "Deadline">]
    val deadline: client: StunClient -> Instant
