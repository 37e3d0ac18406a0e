namespace UtpPunch.Sim

open UtpPunch.Protocol

/// An endpoint as the simulator drives it: what happened goes in, what to do comes out. The core is one; an oracle is another.
type IMachine =
    /// Takes in everything that has happened, then does what is due.
    abstract Step: now: Instant * events: Event[] -> Effect[]
    /// When to step next if nothing happens before.
    abstract Deadline: Instant
    /// What a stream measured and counted; none where nobody counts.
    abstract Stream: ConnId -> StreamStatistics voption

/// The core, in a variable.
[<Sealed>]
type CoreMachine(options: NodeOptions, seed: uint64, now: Instant) =
    let seedBytes = Array.init 32 (fun i -> Keyed.byteAt seed (int64 i))
    member val Node = Node.create options (Bytes seedBytes) now with get, set

    interface IMachine with
        member this.Step(now, events) =
            let struct (node, effects) = Node.step now events this.Node
            this.Node <- node
            effects

        member this.Deadline = Node.deadline this.Node
        member this.Stream connId = Node.stream connId this.Node
