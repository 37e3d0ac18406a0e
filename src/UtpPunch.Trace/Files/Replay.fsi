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
    /// Nothing: the sink gets what this build does with the input.
    | InputsOnly = 2

/// The first line that differs.
[<Sealed; NoComparison; NoEquality>]
type Divergence =
    member Step: TraceStep
    /// The place in the text, from 1, of the recorded line, or of the step when it has one line more or fewer now.
    member LineNumber: int
    /// Null when there is a line more now.
    member Recorded: TraceLine
    /// Null when there is a line fewer now.
    member Actual: TraceLine
    /// Each field that differs, as `key: recorded -> actual`.
    member Differences: string[]
    /// The trace around that place.
    member Context: string[]
    /// What this step does now.
    member Outputs: TraceLine[]
    /// What the node's streams measured after the step.
    member Streams: TraceLine[]
    /// A report of all of this.
    override ToString: unit -> string

[<Sealed; NoComparison; NoEquality>]
type ReplayResult =
    /// The numbers of steps taken and of lines that came out.
    member Steps: int
    member Lines: int
    /// Null when all was equal.
    member Divergence: Divergence

/// Takes the steps of a trace again with the core of this build, and compares the outputs. Payloads of which the trace has hashes are
/// zeroes and are not compared; packet numbers are not compared either.
module Replay =
    /// Stops at the first divergence. `sink` gets every input line, and every output line as this build writes it; null for none. Throws
    /// `TraceException` where a stream uses a congestion control of the application's own.
    [<CompiledName "Run">]
    val run: mode: ReplayMode -> trace: Trace -> sink: Action<TraceLine> -> ReplayResult
