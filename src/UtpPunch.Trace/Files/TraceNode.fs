namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

[<Sealed; NoComparison; NoEquality>]
type TraceNode(name: string, endpoint: Endpoint, options: NodeOptions, seed: Owned, now: Instant) =
    member _.Name = name
    member _.Endpoint = endpoint
    member _.Options = options
    member _.Seed = seed
    member _.Now = now
    member _.Create() = Node.create options seed now

    override _.ToString() =
        let writer = LineWriter(TracePayloads.Full, null, 0L, name, "")
        let fields: Fields = writer
        writer.Line "#node"
        fields.Time("now", now) |> ignore
        fields.Bytes("seed", seed) |> ignore
        Schema.nodeOptions fields options |> ignore
        "#node " + name + " " + ValueText.endpoint endpoint + " " + String.Join(" ", writer.Lines[0].Fields)

    static member Parse(line: string) =
        let words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)

        if words.Length < 3 || words[0] <> "#node" then
            raise (LineException(line, "A #node line has a name, an address and options."))

        try
            let fields: Fields =
                LineReader(TracePayloads.Full, [| TraceLine(0L, words[1], "", words[0], words[3..]) |])

            let seed = fields.Bytes("seed", Owned.Empty)

            if seed.Length <> 32 then ValueText.bad "seed of 32 bytes" (ValueText.hex seed.Span)

            TraceNode(
                words[1],
                ValueText.parseEndpoint words[2],
                Schema.nodeOptions fields Templates.options,
                seed,
                fields.Time("now", 0L<us>)
            )
        with :? FormatException as error ->
            raise (LineException(line, error.Message))
