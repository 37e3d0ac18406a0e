namespace UtpPunch.Protocol

[<NoComparison; RequireQualifiedAccess>]
type internal StunEvent = Received of from: Endpoint * datagram: Borrowed

[<NoComparison; RequireQualifiedAccess>]
type internal StunEffect =
    | Send of remote: Endpoint * datagram: Owned
    /// The last effect.
    | Done of outcome: StunOutcome

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal StunClient =
    /// The time-outs of RFC 8489. A behavior test of 3 s has time for three requests.
    [<CompiledName "Standard">]
    val standard: servers: Endpoint[] -> StunOptions

    /// Nothing is sent before the first step. The generator must not be used elsewhere: ids must be unique.
    [<CompiledName "Start">]
    val start: options: StunOptions -> random: Random -> now: Instant -> StunClient

    /// Takes in the events, then does what is due. A time before that of the last step counts as that of the last step.
    [<CompiledName "Step">]
    val step: now: Instant -> events: StunEvent[] -> client: StunClient -> struct (StunClient * StunEffect[])

    /// When to step next if nothing arrives before; `Time.never` when it is done.
    [<CompiledName "Deadline">]
    val deadline: client: StunClient -> Instant
