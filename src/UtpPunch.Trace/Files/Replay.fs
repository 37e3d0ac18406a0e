namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open System.Text
open UtpPunch.Protocol

[<RequireQualifiedAccess>]
type ReplayMode =
    | Strict = 0
    | Semantic = 1
    | InputsOnly = 2

/// Which fields count, and how two lines differ in them.
module private Comparing =
    let keyOf (field: string) =
        match field.IndexOf '=' with
        | -1 -> ""
        | place -> field.Substring(0, place)

    let private isIgnored (mode: ReplayMode) (isHash: bool) (field: string) =
        match keyOf field with
        | "p" -> true
        | "pay" -> isHash
        | "ts"
        | "td"
        | "wnd" -> mode = ReplayMode.Semantic
        | _ -> false

    let private counted mode isHash (line: TraceLine) = line.Fields |> Array.filter (isIgnored mode isHash >> not)

    let private same (left: string[]) (right: string[]) =
        left.Length = right.Length
        && Array.forall2 (fun (a: string) (b: string) -> String.Equals(a, b)) left right

    let areEqual mode isHash (recorded: TraceLine) (actual: TraceLine) =
        recorded.Kind = actual.Kind
        && (same recorded.Fields actual.Fields
            || same (counted mode isHash recorded) (counted mode isHash actual))

    /// The values by their keys, the first of each.
    let private valuesOf (fields: string[]) =
        let values = Dictionary<string, string>(StringComparer.Ordinal)

        for field in fields do
            let key = keyOf field
            values.TryAdd(key, (if key = "" then field else field.Substring(key.Length + 1))) |> ignore

        values

    let differences mode isHash (recorded: TraceLine) (actual: TraceLine) : string[] =
        let before = counted mode isHash recorded
        let after = counted mode isHash actual
        let was = valuesOf before
        let is = valuesOf after

        let valueIn (values: Dictionary<string, string>) key =
            match values.TryGetValue key with
            | true, value -> value
            | _ -> "nothing"

        [| if recorded.Kind <> actual.Kind then "kind: " + recorded.Kind + " -> " + actual.Kind

           for key in Array.distinct (Array.map keyOf (Array.append before after)) do
               let before = valueIn was key
               let after = valueIn is key

               if before <> after then
                   (if key = "" then "type" else key) + ": " + ValueText.quote before + " -> " + ValueText.quote after |]

[<Sealed; NoComparison; NoEquality>]
type Divergence
    (
        step: TraceStep,
        lineNumber: int,
        recorded: TraceLine,
        actual: TraceLine,
        differences: string[],
        context: string[],
        outputs: TraceLine[],
        streams: TraceLine[]
    ) =
    member _.Step = step
    member _.LineNumber = lineNumber
    member _.Recorded = recorded
    member _.Actual = actual
    member _.Differences = differences
    member _.Context = context
    member _.Outputs = outputs
    member _.Streams = streams

    override _.ToString() =
        let text = StringBuilder()
        let line (words: string) = text.Append(words).Append('\n') |> ignore
        let shown (line: TraceLine) = if isNull (box line) then "(no such line)" else ValueText.quote (line.ToString())

        line (
            "Step "
            + ValueText.number step.Number
            + " (node "
            + step.Node
            + ", now="
            + ValueText.number (int64 step.Now)
            + "), line "
            + ValueText.number lineNumber
            + ":"
        )

        line ("  recorded " + shown recorded)
        line ("  now      " + shown actual)

        for difference in differences do
            line ("  " + difference)

        line "The trace around it:"

        for it in context do
            line ("  " + it)

        line "What this step does now:"

        for it in outputs do
            line ("  " + ValueText.quote (it.ToString()))

        line "The streams after it:"

        for it in streams do
            line ("  " + ValueText.quote (it.ToString()))

        text.ToString()

[<Sealed; NoComparison; NoEquality>]
type ReplayResult(steps: int, lines: int, divergence: Divergence) =
    member _.Steps = steps
    member _.Lines = lines
    member _.Divergence = divergence

module Replay =
    /// Lines of the trace that are shown on either side of a divergence.
    [<Literal>]
    let private Around = 10

    /// A node of the trace as it is now, and every stream that was named.
    [<Sealed>]
    type private Actor(name: string, start: Node) =
        member _.Name = name
        member val Node = start with get, set
        member val Streams = SortedSet<ConnId>() with get

    let private connIds (lines: TraceLine[]) (streams: SortedSet<ConnId>) =
        for line in lines do
            // A line may have further fields, with anything in them.
            match System.Int32.TryParse(line.Find "c") with
            | true, connId -> streams.Add connId |> ignore
            | _ -> ()

    let private statistics (actor: Actor) time =
        [| for connId in actor.Streams do
               match Node.stream connId actor.Node with
               | ValueSome it -> TraceText.sample time actor.Name (TraceSample.ofStatistics connId it)
               | ValueNone -> () |]

    let private context (trace: Trace) index =
        [| for at in max 0 (index - Around) .. min (trace.Lines.Length - 1) (index + Around) ->
               (if at = index then "> " else "  ") + ValueText.quote (trace.Lines[at].ToString()) |]

    /// What the step does now; a fault is a line, too. A congestion control of the application's own cannot be replayed.
    let private take (trace: Trace) (actor: Actor) (step: TraceStep) : TraceLine[] =
        try
            let struct (node, effects) = Node.step step.Now (step.Events()) actor.Node
            actor.Node <- node
            let payloads = if trace.Payloads.IsHash then TracePayloads.Unknown else trace.Payloads
            TraceText.effects payloads null step.Time step.Node effects
        with
        | :? NotSupportedException as error -> raise (TraceException(trace.LineNumber step.Index, error.Message, error))
        | error -> [| TraceText.fault step.Time step.Node error |]

    let private compare mode (trace: Trace) (actor: Actor) (step: TraceStep) (actual: TraceLine[]) : Divergence =
        let recorded = step.Outputs
        let isHash = trace.Payloads.IsHash
        let mutable index = 0

        while index < min recorded.Length actual.Length
              && Comparing.areEqual mode isHash recorded[index] actual[index] do
            index <- index + 1

        if index = recorded.Length && index = actual.Length then
            Unchecked.defaultof<Divergence>
        else
            let at (lines: TraceLine[]) = if index < lines.Length then lines[index] else Unchecked.defaultof<TraceLine>

            let place = if index < recorded.Length then step.OutputIndices[index] else step.Index

            let differences =
                if index < recorded.Length && index < actual.Length then
                    Comparing.differences mode isHash recorded[index] actual[index]
                else
                    [||]

            Divergence(
                step,
                trace.LineNumber place,
                at recorded,
                at actual,
                differences,
                context trace place,
                actual,
                statistics actor step.Time
            )

    [<CompiledName "Run">]
    let run (mode: ReplayMode) (trace: Trace) (sink: Action<TraceLine>) : ReplayResult =
        let actors = [| for node in trace.Nodes -> Actor(node.Name, trace.Start node.Name) |]
        let mutable steps = 0
        let mutable lines = 0
        let mutable divergence = Unchecked.defaultof<Divergence>

        let tell (it: TraceLine[]) =
            if not (isNull sink) then
                for line in it do
                    sink.Invoke line

        while isNull (box divergence) && steps < trace.Steps.Length do
            let step = trace.Steps[steps]
            let actor = actors[trace.Header.IndexOf step.Node]
            connIds step.Inputs actor.Streams
            let actual = take trace actor step
            connIds actual actor.Streams
            tell step.Inputs
            tell actual
            steps <- steps + 1
            lines <- lines + actual.Length

            if mode <> ReplayMode.InputsOnly then divergence <- compare mode trace actor step actual

        ReplayResult(steps, lines, divergence)
