namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// What runs on a host: the core, or an oracle in its place. Both speak the core's vocabulary.
type IMachine =
    abstract Step: now: Instant * events: Event[] -> Effect[]
    abstract Deadline: Instant
    abstract Stream: ConnId -> StreamStatistics voption

/// The core itself. Keeps the state before the last step, for whoever wants to take that step again.
[<Sealed>]
type CoreMachine(options: NodeOptions, seed: uint64, now: Instant) =
    let seedBytes = Owned(Array.init 32 (fun i -> Keyed.byteAt seed (int64 i)))
    let mutable node = Node.create options seedBytes now
    let mutable before = node

    member _.Node = node
    member _.Before = before
    member _.Options = options
    /// What `Node.create` was given.
    member _.Seed = seedBytes
    member _.CreatedAt = now

    interface IMachine with
        member _.Step(now, events) =
            before <- node
            let struct (next, effects) = Node.step now events node
            node <- next
            effects

        member _.Deadline = Node.deadline node
        member _.Stream connId = Node.stream connId node
