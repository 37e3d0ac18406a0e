namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

/// Writes a trace line by line: the header (`Node`, `Comment` and `Snapshot`), steps and commentary, and `End`. It counts and hashes what
/// it writes.
[<Sealed; NoComparison; NoEquality>]
type TraceWriter =
    /// `sink` takes one line after the other, without the line feed; `core` is the name and the version of what is traced.
    new: sink: Action<string> * core: string * payloads: TracePayloads -> TraceWriter

    /// The `core` of this build.
    static member Core: string

    /// The number of lines written, and their hash.
    member Lines: int64
    member Hash: uint64

    member Node: node: TraceNode -> unit
    /// The state of a node before the first step that the trace has of it: bytes of `Snapshot.take`.
    member Snapshot: name: string * snapshot: byte[] -> unit
    /// Another line of the header, such as `scenario` and its text.
    member Comment: word: string * text: string -> unit

    /// A step and its events, before it is taken. `numbers` gives `p` for one datagram after the other; null stands for zeroes.
    member Events: time: int64 * node: string * now: Instant * events: Event[] * numbers: Func<int64> -> unit
    /// What the step did.
    member Effects: time: int64 * node: string * effects: Effect[] * numbers: Func<int64> -> unit
    /// Any other line: `net` and `chk`.
    member Line: line: TraceLine -> unit

    member End: unit -> unit
