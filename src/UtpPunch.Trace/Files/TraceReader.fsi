namespace UtpPunch.Tracing

open System.Collections.Generic
open System.IO
open UtpPunch.Protocol

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
    /// The node's clock.
    member Now: Instant
    /// Reads the events from the lines, at every call.
    member Events: unit -> Event[]
    /// The lines of the step and of its events.
    member Inputs: TraceLine[]
    /// The lines of what it did, and for each its place among `Trace.Lines`.
    member Outputs: TraceLine[]
    member OutputIndices: int[]

/// A whole trace, read and checked: the events of every step can be read, a snapshot is one of this build, and `#end` counts right.
/// A trace may come from an untrusted source: what a reader allocates is bounded by the trace's length (docs/utrace.md, Limits).
[<Sealed; NoComparison; NoEquality>]
type Trace =
    /// Reads a trace. Throws `TraceException`.
    static member Read: lines: IEnumerable<string> -> Trace
    static member Read: reader: TextReader -> Trace
    static member Parse: text: string -> Trace

    member Header: TraceHeader
    /// In the order of their lines.
    member Nodes: TraceNode[]
    member Payloads: TracePayloads
    /// The lines below the header, without `#end`.
    member Lines: TraceLine[]
    /// The place of a line in the text, from 1.
    member LineNumber: index: int -> int
    /// In the order of their first lines.
    member Steps: TraceStep[]
    /// Whether `#end` is present.
    member IsComplete: bool

    /// The node before its first step in this trace: as the snapshot has it, or new.
    member Start: name: string -> Node
