namespace UtpPunch.Protocol

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Node =
    /// A node without streams that does not listen. The seed is 32 bytes of the caller's entropy.
    [<CompiledName "Create">]
    val create: options: NodeOptions -> seed: Owned -> now: Instant -> Node

    /// Takes in everything that has happened, then does what is due. An empty batch is a tick. A time before that of the last step
    /// counts as that of the last step. An invalid event (an unknown or reused stream name in `Connect`, a write after
    /// `Finish`, consuming more than was delivered) throws; events for a stream that has closed meanwhile are ignored.
    [<CompiledName "Step">]
    val step: now: Instant -> events: Event[] -> node: Node -> struct (Node * Effect[])

    /// When to step next if nothing happens before. Never in the past of the last step.
    [<CompiledName "Deadline">]
    val deadline: node: Node -> Instant

    /// From when on the socket may close without a peer missing anything: `Time.never` as long as there are streams, or ended ones whose
    /// peer may lack the last acknowledgement.
    [<CompiledName "QuietAt">]
    val quietAt: node: Node -> Instant

    [<CompiledName "Statistics">]
    val statistics: node: Node -> NodeStatistics

    /// The peer of a stream, with the own address that the stream uses; also for a while after it has closed.
    [<CompiledName "RemoteOf">]
    val remoteOf: connId: ConnId -> node: Node -> Endpoint voption

    /// What a stream measured and counted, also for a while after it has closed; none later.
    [<CompiledName "Stream">]
    val stream: connId: ConnId -> node: Node -> StreamStatistics voption
