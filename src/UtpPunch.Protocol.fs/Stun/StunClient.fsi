namespace UtpPunch.Protocol

[<NoComparison; RequireQualifiedAccess>]
type StunEvent = Received of from: Endpoint * datagram: Borrowed

[<NoComparison; RequireQualifiedAccess>]
type StunEffect =
    | Send of remote: Endpoint * datagram: Owned
    /// The last effect.
    | Done of outcome: StunOutcome

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
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
