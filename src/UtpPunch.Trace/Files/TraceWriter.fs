namespace UtpPunch.Tracing

open System
open System.Reflection
open UtpPunch.Protocol

[<Sealed; NoComparison; NoEquality>]
type TraceWriter(sink: Action<string>, core: string, payloads: TracePayloads) =
    /// Bytes of a snapshot on one line: a multiple of 3, so that no line is padded but the last.
    static let chunk = 3 <<< 18

    let mutable lines = 0L
    let mutable hash = 0UL

    let write (line: string) =
        lines <- lines + 1L
        hash <- Fingerprint.andLine line hash
        sink.Invoke line

    do
        write ("#utrace " + ValueText.Version)
        write ("#core " + core)
        write ("#pay " + payloads.Name)

        for key in payloads.Keys do
            write ("#key " + key.Key + " 0x" + key.Value.ToString "x16")

    /// Without the commit, so that two builds of one version write the same.
    static member Core =
        let kind = typeof<AssemblyInformationalVersionAttribute>

        match Attribute.GetCustomAttribute(typeof<Node>.Assembly, kind) with
        | :? AssemblyInformationalVersionAttribute as version ->
            "UtpPunch.Protocol " + version.InformationalVersion.Split('+')[0]
        | _ -> "UtpPunch.Protocol"

    member _.Lines = lines
    member _.Hash = hash
    member _.Node(node: TraceNode) = write (node.ToString())

    member _.Snapshot(name: string, snapshot: byte[]) =
        let mutable start = 0

        while start < snapshot.Length do
            let length = min chunk (snapshot.Length - start)
            write ("#snapshot " + name + " " + Convert.ToBase64String(snapshot, start, length))
            start <- start + length

    member _.Comment(word: string, text: string) = write ("#" + word + " " + text)
    member _.Line(line: TraceLine) = write (line.ToString())

    member _.Events(time: int64, node: string, now: Instant, events: Event[], numbers: Func<int64>) =
        for line in TraceText.events payloads numbers time node now events do
            write (line.ToString())

    member _.Effects(time: int64, node: string, effects: Effect[], numbers: Func<int64>) =
        for line in TraceText.effects payloads numbers time node effects do
            write (line.ToString())

    member _.End() = sink.Invoke("#end lines=" + ValueText.number lines + " hash=" + hash.ToString "x16")
