namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

/// What a replay compares.
[<RequireQualifiedAccess>]
type ReplayMode =
    /// Every line of what the nodes did.
    | Strict = 0
    /// The same, less the fields `ts`, `td` and `wnd`.
    | Semantic = 1
    /// Nothing; it tells what this build does with the input.
    | InputsOnly = 2

/// The first line that came out otherwise.
[<Sealed; NoComparison; NoEquality>]
type Divergence =
    member Step: TraceStep
    /// Where in the text, from 1: the recorded line, or the step that should have had one more or one fewer.
    member LineNumber: int
    /// Null when there is one line more now.
    member Recorded: TraceLine
    /// Null when there is one line fewer now.
    member Actual: TraceLine
    /// Each field that differs, as `key: recorded -> actual`.
    member Differences: string[]
    /// The trace around that place.
    member Context: string[]
    /// What this step does now.
    member Outputs: TraceLine[]
    /// What the node's streams measured after the step.
    member Streams: TraceLine[]
    /// All of that, for a person.
    override ToString: unit -> string

[<Sealed; NoComparison; NoEquality>]
type ReplayResult =
    /// Steps taken, and lines of output compared.
    member Steps: int
    member Lines: int
    /// Null when all was equal.
    member Divergence: Divergence

/// Takes the steps of a trace again, with the core of this build, and compares what comes out. Payloads that the trace has as hashes
/// are zeroes and not compared, and neither are packet numbers.
module Replay =
    /// Stops at the first divergence. `sink` gets every input line, and every output line as it is now; null for none.
    [<CompiledName "Run">]
    val run: mode: ReplayMode -> trace: Trace -> sink: Action<TraceLine> -> ReplayResult
