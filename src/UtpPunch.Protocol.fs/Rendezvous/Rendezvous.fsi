namespace UtpPunch.Protocol

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Rendezvous =
    /// One socket, 65536 registrations, 512 registrations and 100 datagrams per second from one source, 60 s.
    val standard: RendezvousOptions

    /// The seed is 32 bytes of the caller's entropy.
    [<CompiledName "Create">]
    val create: options: RendezvousOptions -> seed: Owned -> now: Instant -> Rendezvous

    /// Takes in datagrams, each with its source, whose `Via` is the socket that received it, then does what is due. The datagrams are not read
    /// after the step. Those to send name their socket likewise, and never change.
    [<CompiledName "Step">]
    val step:
        now: Instant ->
        received: struct (Endpoint * Borrowed)[] ->
        server: Rendezvous ->
            struct (Rendezvous * struct (Endpoint * Owned)[])

    /// A server that shares its rooms with others through a store. The name of this instance is not 0, and no other one has it.
    [<CompiledName "CreateShared">]
    val createShared: instance: uint64 -> options: RendezvousOptions -> seed: Owned -> now: Instant -> Rendezvous

    /// A step of such a server, which also takes what the store tells, and gives what is asked of it.
    [<CompiledName "StepShared">]
    val stepShared:
        now: Instant ->
        received: struct (Endpoint * Borrowed)[] ->
        news: StoreEvent[] ->
        server: Rendezvous ->
            struct (Rendezvous * struct (Endpoint * Owned)[] * StoreRequest[])

    [<CompiledName "Deadline">]
    val deadline: server: Rendezvous -> Instant

    [<CompiledName "Statistics">]
    val statistics: server: Rendezvous -> RendezvousStatistics

    /// The counts that an operator watches. They name no room and no address.
    [<CompiledName "Counts">]
    val counts: server: Rendezvous -> RendezvousCounts

    /// The largest rooms, with the addresses of some members of each. It walks over all rooms.
    [<CompiledName "Rooms">]
    val rooms: most: int -> members: int -> server: Rendezvous -> RendezvousRoom[]
