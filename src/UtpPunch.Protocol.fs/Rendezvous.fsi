namespace UtpPunch.Protocol

/// What holds for a rendezvous server.
[<NoComparison>]
type RendezvousOptions =
    {
        /// Its sockets, in the order of `Endpoint.Via`; the first is the one that clients know. One that is bound to all addresses stands
        /// with none. Clients that can compare how several sockets see them know what their NAT does.
        Sockets: Endpoint[]
        /// Registrations at most, in all and from one source: an IPv4 address, or the first 64 bits of an IPv6 one.
        MaxRegistrations: int
        MaxPerSource: int
        /// Datagrams a second that are looked at, from one source; twice as many at once.
        RatePerSource: int
        /// How long a registration holds if it is not renewed.
        Lifetime: Duration
        /// Whether it speaks the JSON of the npm package's tracker, too. Its answers are larger than its questions, and prove nothing.
        Legacy: bool
        /// Whether it answers STUN, too (RFC 8489): the answers are a little larger than the questions. With four sockets, which are the
        /// two ports of one address and then those of another, clients learn all about their NAT (RFC 5780).
        Stun: bool
    }

/// How much a server has to do.
[<Struct; NoComparison>]
type RendezvousStatistics =
    {
        /// Peers that wait for somebody, and introductions that are under way.
        Waiting: int
        Introductions: int
        /// Since the beginning.
        Introduced: int64
        Dropped: int64
    }

/// A rendezvous server: introduces those who ask for the same room, and never relays. A value like `Node`, with a step of the same shape.
[<Sealed>]
type Rendezvous

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Rendezvous =
    /// One socket, 65536 registrations, 512 and 100 datagrams a second from one source, 60 s.
    val standard: RendezvousOptions

    /// The seed is 32 bytes of the caller's entropy.
    [<CompiledName "Create">]
    val create: options: RendezvousOptions -> seed: Bytes -> now: Instant -> Rendezvous

    /// Takes in datagrams, each with the address that it came from and, as that one's `Via`, the socket that received it; then does what
    /// is due. What is to be sent names its socket likewise.
    [<CompiledName "Step">]
    val step:
        now: Instant ->
        received: struct (Endpoint * Bytes)[] ->
        server: Rendezvous ->
            struct (Rendezvous * struct (Endpoint * Bytes)[])

    [<CompiledName "Deadline">]
    val deadline: server: Rendezvous -> Instant

    [<CompiledName "Statistics">]
    val statistics: server: Rendezvous -> RendezvousStatistics
