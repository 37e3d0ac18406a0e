namespace UtpPunch.Sim

open UtpPunch.Protocol

/// What runs on a host: the core, or an oracle in its place. Both speak the core's vocabulary.
type IMachine =
    abstract Step: now: Instant * events: Event[] -> Effect[]
    abstract Deadline: Instant
    abstract Stream: ConnId -> StreamStatistics voption

/// The core itself. Keeps the state before the last step, for whoever wants to take that step again.
[<Sealed>]
type CoreMachine(options: NodeOptions, seed: Bytes, now: Instant) =
    let mutable node = Node.create options seed now
    let mutable before = node

    member _.Node = node
    member _.Before = before
    member _.Options = options
    member _.Seed = seed
    member _.CreatedAt = now

    interface IMachine with
        member _.Step(now, events) =
            before <- node
            let struct (next, effects) = Node.step now events node
            node <- next
            effects

        member _.Deadline = Node.deadline node
        member _.Stream connId = Node.stream connId node
