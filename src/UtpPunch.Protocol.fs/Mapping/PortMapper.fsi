namespace UtpPunch.Protocol

/// Maps the UDP port of a node at its gateway by PCP (RFC 6887), NAT-PMP (RFC 6886) or UPnP (IGD:1, IGD:2), keeps the mapping by renewing it,
/// and deletes it. A machine like `StunClient`: the shell sends its datagrams from the node's socket, and carries out its HTTP requests.
///
/// PCP is asked, and UPnP searched for, at once; NAT-PMP follows where PCP is not supported, UPnP after a second without either.
[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal PortMapper =
    /// The times and the lifetime of docs/paths.md.
    [<CompiledName "Standard">]
    val standard: client: Endpoint -> prefixLength: int -> gateway: Endpoint -> MapperOptions

    /// Nothing is sent before the first step. The generator must not be used elsewhere: the nonce must be unique, and must not be guessed.
    [<CompiledName "Start">]
    val start: options: MapperOptions -> random: Random -> now: Instant -> PortMapper

    /// Whether a datagram that is not uTP is for a mapper with these options. It may be forged.
    [<CompiledName "Awaits">]
    val awaits: options: MapperOptions -> from: Endpoint -> datagram: Borrowed -> bool

    /// Takes in the events, then does what is due. A time before that of the last step counts as that of the last step.
    [<CompiledName "Step">]
    val step: now: Instant -> events: MapperEvent[] -> mapper: PortMapper -> struct (PortMapper * MapperEffect[])

    /// When to step next if nothing arrives before; `Time.never` when it is done.
    [<CompiledName "Deadline">]
    val deadline: mapper: PortMapper -> Instant
