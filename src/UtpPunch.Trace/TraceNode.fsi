namespace UtpPunch.Tracing

open UtpPunch.Protocol

/// A node of a trace: all that `Node.create` got, its name and its address.
[<Sealed; NoComparison; NoEquality>]
type TraceNode =
    new: name: string * endpoint: Endpoint * options: NodeOptions * seed: Owned * now: Instant -> TraceNode
    member Name: string
    member Endpoint: Endpoint
    member Options: NodeOptions
    /// 32 bytes.
    member Seed: Owned
    /// When it was made.
    member Now: Instant

    /// The node before its first step.
    member Create: unit -> Node

    /// The `#node` line.
    override ToString: unit -> string

    /// Reads a `#node` line. Throws `FormatException`.
    static member Parse: line: string -> TraceNode
