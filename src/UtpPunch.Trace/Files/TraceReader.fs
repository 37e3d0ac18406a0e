namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open System.IO
open UtpPunch.Protocol

[<Sealed; NoComparison; NoEquality>]
type TraceStep
    (number: int, index: int, now: Instant, payloads: TracePayloads, lines: TraceLine[], inputs: int[], outputs: int[])
    =
    let at (places: int[]) = places |> Array.map (fun place -> lines[place])
    member _.Number = number
    member _.Node = lines[index].Node
    member _.Index = index
    member _.Time = lines[index].Time
    member _.Now = now
    member _.Events() = TraceText.parseEvents payloads (at inputs[1..])
    member _.Inputs = at inputs
    member _.Outputs = at outputs
    member _.OutputIndices = outputs

/// A step of which more lines may follow.
[<NoComparison; NoEquality>]
type private Draft = { Index: int; Inputs: ResizeArray<int>; Outputs: ResizeArray<int> }

/// Sorts the lines of a trace into steps, which may stand among those of other nodes, and checks each.
module private Steps =
    /// The most bytes that a trace may represent without containing them: a constant, and an amount per character.
    let mostGenerated (characters: int64) = (1L <<< 27) + 256L * characters

    let drafts (header: TraceHeader) (lines: TraceLine[]) (numbers: ResizeArray<int>) : Draft[] =
        let drafts = ResizeArray<Draft>()
        let latest = Dictionary<string, Draft>(StringComparer.Ordinal)

        let draftOf at =
            match latest.TryGetValue lines[at].Node with
            | true, draft -> draft
            | _ ->
                raise (
                    TraceException(numbers[at], "The node " + ValueText.quote lines[at].Node + " has made no step yet.")
                )

        for at in 0 .. lines.Length - 1 do
            let line = lines[at]

            match line.Direction with
            | "in" when line.Kind = "step" ->
                if header.IndexOf line.Node < 0 then
                    raise (TraceException(numbers[at], "There is no #node line for " + ValueText.quote line.Node + "."))

                let draft = { Index = at; Inputs = ResizeArray [ at ]; Outputs = ResizeArray() }
                latest[line.Node] <- draft
                drafts.Add draft
            | "in" ->
                let draft = draftOf at

                if draft.Outputs.Count > 0 then
                    raise (TraceException(numbers[at], "An event follows the effects of its step."))

                draft.Inputs.Add at
            | "out" -> (draftOf at).Outputs.Add at
            | _ -> ()

        drafts.ToArray()

    let check payloads (lines: TraceLine[]) (numbers: ResizeArray<int>) characters (drafts: Draft[]) : TraceStep[] =
        let mutable generated = 0L

        drafts
        |> Array.mapi (fun ordinal draft ->
            let inputs = draft.Inputs.ToArray()

            let step =
                try
                    let now = TraceText.parseStep lines[draft.Index]

                    TraceStep(ordinal + 1, draft.Index, now, payloads, lines, inputs, draft.Outputs.ToArray())
                with :? LineException as error ->
                    raise (TraceException(numbers[draft.Index], error.Reason, error))

            try
                let struct (_, made) = TraceText.readEvents payloads step.Inputs[1..]
                generated <- generated + made
            with :? LineException as error ->
                raise (TraceException(numbers[inputs[error.Index + 1]], error.Reason, error))

            if generated > mostGenerated characters then
                raise (TraceException(numbers[draft.Index], "The trace stands for too much that it does not hold."))

            step)

[<Sealed; NoComparison; NoEquality>]
type Trace
    private
    (
        header: TraceHeader,
        nodes: struct (TraceNode * Node)[],
        lines: TraceLine[],
        lineNumbers: int[],
        steps: TraceStep[],
        isComplete: bool
    ) =
    member _.Header = header
    member _.Payloads = header.Payloads
    member _.Lines = lines
    member _.LineNumber(index: int) = lineNumbers[index]
    member _.Steps = steps
    member _.IsComplete = isComplete

    member _.Nodes = [| for struct (node, _) in nodes -> node |]

    member _.Start(name: string) : Node =
        match header.IndexOf name with
        | -1 -> invalidArg (nameof name) "The trace has no such node."
        | index ->
            let struct (_, start) = nodes[index]
            start

    /// The node of a `#node` line, and its state as the snapshot has it, or new.
    static member private StartOf(header: TraceHeader, line: TraceNodeLine) : struct (TraceNode * Node) =
        let mutable number = line.LineNumber

        try
            let node = TraceNode.Parse line.Line

            if not (header.HasSnapshot line.Name) then
                struct (node, node.Create())
            else
                let snapshot = header.Snapshot line.Name
                number <- snapshot.LineNumber
                struct (node, Snapshot.restore snapshot.Bytes)
        with
        | :? LineException as error -> raise (TraceException(number, error.Reason, error))
        | error -> raise (TraceException(number, error.Message, error))

    static member private Read(scanner: TraceScanner) : Trace =
        let lines = ResizeArray<TraceLine>()
        let numbers = ResizeArray<int>()

        while scanner.Read() do
            lines.Add scanner.Line
            numbers.Add scanner.LineNumber

        let header = scanner.Header
        let lines = lines.ToArray()
        let nodes = [| for node in header.Nodes -> Trace.StartOf(header, node) |]

        let steps =
            Steps.drafts header lines numbers |> Steps.check header.Payloads lines numbers scanner.Characters

        Trace(header, nodes, lines, numbers.ToArray(), steps, scanner.IsComplete)

    static member Read(lines: IEnumerable<string>) : Trace = Trace.Read(TraceScanner(lines, true))
    static member Read(reader: TextReader) : Trace = Trace.Read(TraceScanner(reader, true))
    static member Parse(text: string) : Trace = Trace.Read(new StringReader(text) :> TextReader)
