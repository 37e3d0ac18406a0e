namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open System.IO

/// A `#node` line, less the options that only a replay needs.
[<Sealed; NoComparison; NoEquality>]
type TraceNodeLine internal (name: string, address: string, line: string, number: int) =
    member _.Name = name
    member _.Address = address
    member _.Line = line
    /// Where the line is in the text, from 1.
    member _.LineNumber = number

/// A `#snapshot`, whose bytes may be spread over several lines.
[<Sealed; NoComparison; NoEquality>]
type internal TraceSnapshot(number: int) =
    let bytes = new MemoryStream()
    member _.LineNumber = number
    member _.Add(text: string) = bytes.Write(ReadOnlySpan<byte>(Convert.FromBase64String text))
    member _.Bytes = bytes.ToArray()

/// The lines that begin with `#`.
[<Sealed; NoComparison; NoEquality>]
type TraceHeader internal () =
    /// The most lines of one word: these are searched for every line of a trace, so they must be few.
    static let most = 1000

    let lines = ResizeArray<string>()
    let keys = ResizeArray<KeyValuePair<string, uint64>>()
    let nodes = ResizeArray<TraceNodeLine>()
    let byName = Dictionary<string, int>(StringComparer.Ordinal)
    let snapshots = Dictionary<string, TraceSnapshot>(StringComparer.Ordinal)
    let mutable hasBegun = false
    let mutable core = ""
    let mutable title = ""
    let mutable word = "full"
    let mutable payloads = TracePayloads.Full

    let fail message = raise (FormatException message)

    let room (count: int) (word: string) =
        if count >= most then
            fail ("There are more than " + ValueText.number (int64 most) + " lines " + word + ".")

    let setPayloads () =
        payloads <-
            match word with
            | "full" -> TracePayloads.Full
            | "hash" -> TracePayloads.Hash
            | _ -> TracePayloads.Synth(keys.ToArray())

    let addKey (name: string) (key: string) =
        room keys.Count "#key"
        let digits = if key.StartsWith("0x", StringComparison.Ordinal) then key.Substring 2 else key

        match UInt64.TryParse(digits, Globalization.NumberStyles.AllowHexSpecifier, null) with
        | true, value -> keys.Add(KeyValuePair(name, value))
        | _ -> ValueText.bad "key of 64 bits" key

        setPayloads ()

    let addNode (name: string) (address: string) (line: string) (number: int) =
        room nodes.Count "#node"

        if not (byName.TryAdd(name, nodes.Count)) then
            fail ("There is another #node " + ValueText.quote name + ".")

        nodes.Add(TraceNodeLine(name, address, line, number))

    let addSnapshot (name: string) (text: string) (number: int) =
        match snapshots.TryGetValue name with
        | true, known -> known.Add text
        | _ ->
            room snapshots.Count "#snapshot"
            let snapshot = TraceSnapshot number
            snapshot.Add text
            snapshots[name] <- snapshot

    let setVersion (version: string) =
        if hasBegun then fail "The version is given twice."

        if version <> ValueText.Version then
            fail (
                "Version "
                + ValueText.quote version
                + " of the format is unknown; this build reads #utrace "
                + ValueText.Version
                + "."
            )

        hasBegun <- true

    /// Whether the line `#utrace` has come.
    member internal _.HasBegun = hasBegun
    /// The program that wrote the trace; empty when unknown.
    member _.Core = core
    /// The first remark; empty for none.
    member _.Title = title
    member _.Payloads = payloads
    member _.Lines: IReadOnlyList<string> = lines
    /// In the order of their lines.
    member _.Nodes: IReadOnlyList<TraceNodeLine> = nodes

    /// The place of a node among `Nodes`; -1 for none.
    member _.IndexOf(name: string) : int =
        match byName.TryGetValue name with
        | true, index -> index
        | _ -> -1

    /// Whether the trace has the state of this node before its first step.
    member _.HasSnapshot(name: string) = snapshots.ContainsKey name

    member internal _.Snapshot(name: string) : TraceSnapshot = snapshots[name]

    /// Takes a line that begins with `#`. Throws `FormatException`.
    member internal _.Add(line: string, number: int) : unit =
        lines.Add line

        match line.Split(' ', StringSplitOptions.RemoveEmptyEntries) with
        | [| "#utrace"; version |] -> setVersion version
        | words when words[0] = "#" -> if title = "" then title <- line.Substring(1).Trim()
        | _ when not hasBegun ->
            fail ("The text is not a trace: it does not begin with #utrace " + ValueText.Version + ".")
        | words ->
            match words[0] with
            | "#utrace" -> fail "#utrace needs a version, and nothing else."
            | "#core" -> core <- line.Substring(words[0].Length).Trim()
            | "#pay" when words.Length > 1 && Array.contains words[1] [| "full"; "hash"; "synth" |] ->
                word <- words[1]
                setPayloads ()
            | "#pay" -> fail "#pay needs the way that payloads are written: full, hash or synth."
            | "#key" when words.Length > 2 -> addKey words[1] words[2]
            | "#key" -> fail "#key needs a name and a key."
            | "#node" when words.Length > 2 -> addNode words[1] words[2] line number
            | "#node" -> fail "#node needs a name and an address."
            | "#snapshot" when words.Length > 2 -> addSnapshot words[1] words[2] number
            | "#snapshot" -> fail "#snapshot needs a name and its bytes."
            | _ -> ()
