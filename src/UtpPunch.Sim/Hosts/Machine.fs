namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// What runs on a host: the core, or an oracle. Both use the core's events and effects.
type IMachine =
    abstract Step: now: Instant * events: Event[] -> Effect[]
    abstract Deadline: Instant
    abstract Stream: ConnId -> StreamStatistics voption

/// The core. Keeps the state before the last step, so that the step can be repeated.
[<Sealed>]
type CoreMachine(options: NodeOptions, seed: uint64, now: Instant) =
    let seedBytes = Owned(Array.init 32 (fun i -> Keyed.byteAt seed (int64 i)))
    let mutable node = Node.create options seedBytes now
    let mutable before = node

    member _.Node = node
    member _.Before = before
    member _.Options = options
    /// The arguments of `Node.create`.
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
