namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// A text is no trace, and why; the message names the line.
[<Sealed>]
type TraceError =
    inherit FormatException
    new: line: int * message: string -> TraceError
    /// Counted from 1.
    member Line: int

/// One step of one node.
[<Sealed; NoComparison; NoEquality>]
type TraceStep =
    /// Its place among all steps of the trace, from 1.
    member Number: int
    member Node: string
    /// The place of its first line among `Trace.Lines`.
    member Index: int
    /// Microseconds of the trace's clock.
    member Time: int64
    /// What the node's clock said.
    member Now: Instant
    member Events: Event[]
    /// The lines of the step and of its events.
    member Inputs: TraceLine[]
    /// The lines of what it did, and for each its place among `Trace.Lines`.
    member Outputs: TraceLine[]
    member OutputIndices: int[]

/// A whole trace, read and checked: every event is one, every datagram has its bytes, and `#end` counted right.
[<Sealed; NoComparison; NoEquality>]
type Trace =
    /// Reads a trace from its lines, or from its text. Throws `TraceError`.
    static member Read: lines: IEnumerable<string> -> Trace
    static member Parse: text: string -> Trace

    /// What wrote it.
    member Core: string
    member Payloads: TracePayloads
    /// The lines above the first step, as they stand.
    member Header: string[]
    member Nodes: TraceNode[]
    /// The lines below the header, `#end` not included.
    member Lines: TraceLine[]
    /// Where in the text a line stands, from 1.
    member LineNumber: index: int -> int
    /// In the order of their first lines.
    member Steps: TraceStep[]
    /// Whether `#end` is there.
    member IsComplete: bool

    /// The node of a name; null when there is none.
    member Find: name: string -> TraceNode
    /// The bytes of a node's `#snapshot`; null when there is none.
    member Snapshot: name: string -> byte[]
    /// The node before its first step in this trace: as the snapshot has it, or fresh.
    member Start: name: string -> Node
