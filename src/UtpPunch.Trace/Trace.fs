namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open UtpPunch.Protocol

[<Sealed>]
type TraceError(line: int, message: string) =
    inherit FormatException("Line " + TraceWords.number line + ": " + message)
    member _.Line = line

[<Sealed; NoComparison; NoEquality>]
type TraceStep
    (number: int, index: int, now: Instant, payloads: TracePayloads, lines: TraceLine[], inputs: int[], outputs: int[])
    =
    let inputs = inputs |> Array.map (fun at -> lines[at])
    let events = TraceText.parseEvents payloads inputs[1..]
    member _.Number = number
    member _.Node = lines[index].Node
    member _.Index = index
    member _.Time = lines[index].Time
    member _.Now = now
    member _.Events = events
    member _.Inputs = inputs
    member _.Outputs = outputs |> Array.map (fun at -> lines[at])
    member _.OutputIndices = outputs

/// The lines above the first step.
[<Sealed; NoComparison; NoEquality>]
type private TraceHeader() =
    let lines = ResizeArray<string>()
    let keys = ResizeArray<KeyValuePair<string, uint64>>()
    let nodes = ResizeArray<TraceNode>()
    let snapshots = ResizeArray<KeyValuePair<string, byte[]>>()
    let mutable core = ""
    let mutable payloads = "full"
    member _.Lines = lines
    member _.Nodes = nodes
    member _.Snapshots = snapshots
    member _.Core = core

    member _.Payloads =
        match payloads with
        | "full" -> TracePayloads.Full
        | "hash" -> TracePayloads.Hash
        | _ -> TracePayloads.Synth(keys.ToArray())

    member _.Add(line: string) =
        lines.Add line
        let words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)

        let needs count = if words.Length < count then raise (FormatException("There are words missing: " + line))

        match words[0] with
        | "#core" -> core <- line.Substring(words[0].Length).Trim()
        | "#pay" ->
            needs 2

            match words[1] with
            | "full"
            | "hash"
            | "synth" -> payloads <- words[1]
            | _ -> TraceWords.bad "way to write payloads: full, hash or synth" words[1]
        | "#key" ->
            needs 3

            let digits =
                if words[2].StartsWith("0x", StringComparison.Ordinal) then
                    words[2].Substring 2
                else
                    words[2]

            match UInt64.TryParse(digits, Globalization.NumberStyles.AllowHexSpecifier, null) with
            | true, key -> keys.Add(KeyValuePair(words[1], key))
            | _ -> TraceWords.bad "key of 64 bits" words[2]
        | "#node" -> nodes.Add(TraceNode.Parse line)
        | "#snapshot" ->
            needs 3
            snapshots.Add(KeyValuePair(words[1], Convert.FromBase64String words[2]))
        | _ -> ()

/// A step whose lines are still coming.
[<NoComparison; NoEquality>]
type private Draft = { Index: int; Node: string; Inputs: ResizeArray<int>; Outputs: ResizeArray<int> }

[<Sealed; NoComparison; NoEquality>]
type Trace
    private
    (
        header: TraceHeader,
        payloads: TracePayloads,
        lines: TraceLine[],
        lineNumbers: int[],
        steps: TraceStep[],
        isComplete: bool
    ) =
    member _.Core = header.Core
    member _.Payloads = payloads
    member _.Header = header.Lines.ToArray()
    member _.Nodes = header.Nodes.ToArray()
    member _.Lines = lines
    member _.LineNumber(index: int) = lineNumbers[index]
    member _.Steps = steps
    member _.IsComplete = isComplete

    member _.Find(name: string) : TraceNode =
        match Seq.tryFind (fun (node: TraceNode) -> node.Name = name) header.Nodes with
        | Some node -> node
        | None -> Unchecked.defaultof<TraceNode>

    member _.Snapshot(name: string) : byte[] =
        match Seq.tryFind (fun (it: KeyValuePair<string, byte[]>) -> it.Key = name) header.Snapshots with
        | Some snapshot -> snapshot.Value
        | None -> null

    member this.Start(name: string) : Node =
        match this.Snapshot name with
        | null ->
            match box (this.Find name) with
            | null -> invalidArg (nameof name) "The trace has no such node."
            | _ -> (this.Find name).Create()
        | snapshot -> Snapshot.restore snapshot

    /// Sorts the lines into steps; those of several nodes may stand among one another.
    static member private StepsOf(lines: TraceLine[], numbers: ResizeArray<int>, header: TraceHeader) : TraceStep[] =
        let payloads = header.Payloads
        let drafts = ResizeArray<Draft>()

        let draftOf at : Draft =
            let mutable index = drafts.Count - 1

            while index >= 0 && drafts[index].Node <> lines[at].Node do
                index <- index - 1

            if index < 0 then
                raise (TraceError(numbers[at], "The node " + lines[at].Node + " has made no step yet."))

            drafts[index]

        for at in 0 .. lines.Length - 1 do
            let line = lines[at]

            match line.Direction with
            | "in" when line.Kind = "step" ->
                if not (Seq.exists (fun (node: TraceNode) -> node.Name = line.Node) header.Nodes) then
                    raise (TraceError(numbers[at], "There is no #node line for " + line.Node + "."))

                drafts.Add { Index = at; Node = line.Node; Inputs = ResizeArray [ at ]; Outputs = ResizeArray() }
            | "in" ->
                let draft = draftOf at

                if draft.Outputs.Count > 0 then
                    raise (TraceError(numbers[at], "An event stands behind what its step did."))

                draft.Inputs.Add at
            | "out" -> (draftOf at).Outputs.Add at
            | _ -> ()

        [| for ordinal in 0 .. drafts.Count - 1 do
               let draft = drafts[ordinal]

               try
                   TraceStep(
                       ordinal + 1,
                       draft.Index,
                       TraceText.parseStep lines[draft.Index],
                       payloads,
                       lines,
                       draft.Inputs.ToArray(),
                       draft.Outputs.ToArray()
                   )
               with :? FormatException as error ->
                   raise (TraceError(numbers[draft.Index], "In the step that begins here: " + error.Message)) |]

    static member private CheckEnd(text: string, number: int, count: int64, hash: uint64) =
        let expected = "#end lines=" + TraceWords.number count + " hash=" + hash.ToString "x16"

        if text.Trim() <> expected then
            raise (TraceError(number, "The text has changed since it was written; this would be right: " + expected))

    static member Read(lines: IEnumerable<string>) : Trace =
        let header = TraceHeader()
        let parsed = ResizeArray<TraceLine>()
        let numbers = ResizeArray<int>()
        let mutable number = 0
        let mutable hash = 0UL
        let mutable isComplete = false

        for text in lines do
            number <- number + 1

            if isComplete then
                if text.Trim() <> "" then raise (TraceError(number, "There is more behind #end."))
            elif number = 1 && text <> "#utrace 2" then
                raise (TraceError(1, "A trace begins with the line '#utrace 2'."))
            elif text.StartsWith("#end", StringComparison.Ordinal) then
                Trace.CheckEnd(text, number, int64 number - 1L, hash)
                isComplete <- true
            else
                hash <- Fingerprint.andLine text hash

                try
                    if text.StartsWith '#' then
                        header.Add text
                    elif text <> "" then
                        parsed.Add(TraceLine.parse text)
                        numbers.Add number
                with :? FormatException as error ->
                    raise (TraceError(number, error.Message))

        if number = 0 then raise (TraceError(1, "There is nothing."))

        let lines = parsed.ToArray()
        let steps = Trace.StepsOf(lines, numbers, header)
        Trace(header, header.Payloads, lines, numbers.ToArray(), steps, isComplete)

    static member Parse(text: string) : Trace =
        let lines = text.Split '\n'

        // What follows the last line feed is no line.
        Trace.Read(if lines[lines.Length - 1] = "" then lines[.. lines.Length - 2] else lines)
