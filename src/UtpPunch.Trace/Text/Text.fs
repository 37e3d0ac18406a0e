namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

module TraceText =
    /// Attributes what is wrong to the line that was read.
    let private naming (lines: TraceLine[]) (reader: LineReader) (read: unit -> 'T) : 'T =
        try
            read ()
        with
        | :? LineException -> reraise ()
        | :? FormatException as error ->
            let index = min reader.At (lines.Length - 1)
            raise (LineException(lines[index].ToString(), error.Message, index))

    [<CompiledName "Endpoint">]
    let endpoint endpoint = ValueText.endpoint endpoint

    [<CompiledName "ParseEndpoint">]
    let parseEndpoint text = ValueText.parseEndpoint text

    [<CompiledName "Events">]
    let events payloads numbers time node (now: Instant) (events: Event[]) =
        let writer = LineWriter(payloads, numbers, time, node, "in")
        writer.Line "step"
        (writer :> Fields).Time("now", now) |> ignore

        for event in events do
            Schema.event writer event |> ignore

        writer.Lines

    [<CompiledName "Effects">]
    let effects payloads numbers time node (effects: Effect[]) =
        let writer = LineWriter(payloads, numbers, time, node, "out")

        for effect in effects do
            Schema.effect writer effect |> ignore

        writer.Lines

    [<CompiledName "Fault">]
    let fault time node (error: exn) = TraceLine(time, node, "out", "fault", [| "error=" + error.GetType().Name |])

    [<CompiledName "Sample">]
    let sample time node (sample: TraceSample) =
        let writer = LineWriter(TracePayloads.Full, null, time, node, "chk")
        writer.Line "stream"
        Schema.sample writer sample |> ignore
        writer.Lines[0]

    [<CompiledName "Header">]
    let header (header: Header) =
        let writer = LineWriter(TracePayloads.Full, null, 0L, "", "")
        writer.Line(TraceNames.packetTypes.Name header.Type)
        Schema.header writer header |> ignore
        let line = writer.Lines[0]
        line.Kind + " " + String.Join(' ', line.Fields)

    let private read (payloads: TracePayloads) (line: TraceLine) (visit: Fields -> 'T) : 'T =
        let lines = [| line |]
        let reader = LineReader(payloads, lines)
        naming lines reader (fun () -> visit reader)

    [<CompiledName "ParseStep">]
    let parseStep (line: TraceLine) : Instant = read TracePayloads.Full line (fun reader -> reader.Time("now", 0L<us>))

    [<CompiledName "ParseSample">]
    let parseSample (line: TraceLine) : TraceSample =
        read TracePayloads.Full line (fun reader -> Schema.sample reader Templates.sample)

    [<CompiledName "ParsePacket">]
    let parsePacket (payloads: TracePayloads) (line: TraceLine) : TracePacket =
        let lines = [| line |]
        let reader = LineReader(payloads, lines)
        naming lines reader (fun () -> reader.Packet())

    [<CompiledName "ParseEffect">]
    let parseEffect (payloads: TracePayloads) (line: TraceLine) : Effect =
        read payloads line (fun reader ->
            match TemplateIndex.effects.OfLine line with
            | ValueSome template -> Schema.effect reader template
            | ValueNone -> ValueText.bad "kind of effect" line.Kind)

    let readEvents (payloads: TracePayloads) (lines: TraceLine[]) : struct (Event[] * int64) =
        let events = ResizeArray<Event>()
        let reader = LineReader(payloads, lines)

        naming lines reader (fun () ->
            while reader.At < lines.Length do
                let line = lines[reader.At]

                match TemplateIndex.events.OfLine line with
                | ValueSome template ->
                    if line.Kind <> Kinds.received.Word then reader.Leave()

                    events.Add(Schema.event reader template)
                | ValueNone when line.Kind = "pkt" ->
                    raise (FormatException "There is no recv line that this datagram belongs to.")
                | ValueNone -> ValueText.bad "kind of event" line.Kind

                reader.At <- reader.At + 1)

        struct (events.ToArray(), reader.Generated)

    [<CompiledName "ParseEvents">]
    let parseEvents (payloads: TracePayloads) (lines: TraceLine[]) : Event[] =
        let struct (events, _) = readEvents payloads lines
        events
