namespace UtpPunch.Protocol

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Rendezvous =
    /// One socket, 65536 registrations, 512 and 100 datagrams a second from one source, 60 s.
    val standard: RendezvousOptions

    /// The seed is 32 bytes of the caller's entropy.
    [<CompiledName "Create">]
    val create: options: RendezvousOptions -> seed: Owned -> now: Instant -> Rendezvous

    /// Takes in datagrams, each with the address that it came from and, as that one's `Via`, the socket that received it; then does what
    /// is due. What is to be sent names its socket likewise.
    [<CompiledName "Step">]
    val step:
        now: Instant ->
        received: struct (Endpoint * Borrowed)[] ->
        server: Rendezvous ->
            struct (Rendezvous * struct (Endpoint * Owned)[])

    [<CompiledName "Deadline">]
    val deadline: server: Rendezvous -> Instant

    [<CompiledName "Statistics">]
    val statistics: server: Rendezvous -> RendezvousStatistics
