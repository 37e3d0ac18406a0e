namespace UtpPunch.Tracing

open UtpPunch.Protocol

/// A node of a trace: its name, its address and the arguments of `Node.create`.
[<Sealed; NoComparison; NoEquality>]
type TraceNode =
    new: name: string * endpoint: Endpoint * options: NodeOptions * seed: Owned * now: Instant -> TraceNode
    member Name: string
    member Endpoint: Endpoint
    member Options: NodeOptions
    /// 32 bytes.
    member Seed: Owned
    /// The time of its creation.
    member Now: Instant

    /// The node before its first step.
    member Create: unit -> Node

    /// The `#node` line.
    override ToString: unit -> string

    /// Reads a `#node` line. Throws `LineException`.
    static member Parse: line: string -> TraceNode
