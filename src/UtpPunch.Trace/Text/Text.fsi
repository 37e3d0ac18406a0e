namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

/// Events and effects as lines of a trace, and back. docs/utrace.md is the grammar, `Schema` the table. What reads throws
/// `LineException`, which names the line.
module TraceText =
    /// 10.0.0.1:5000, [2001:db8::1]:5000, [fe80::1%3]:5000.
    [<CompiledName "Endpoint">]
    val endpoint: endpoint: Endpoint -> string

    /// Throws `FormatException`.
    [<CompiledName "ParseEndpoint">]
    val parseEndpoint: text: string -> Endpoint

    /// The line of a step and those of its events. `numbers` gives `p` for one datagram after the other, in the order of the lines; null
    /// stands for zeroes.
    [<CompiledName "Events">]
    val events:
        payloads: TracePayloads ->
        numbers: Func<int64> ->
        time: int64 ->
        node: string ->
        now: Instant ->
        events: Event[] ->
            TraceLine[]

    /// The lines of what a step did, with numbers as above.
    [<CompiledName "Effects">]
    val effects:
        payloads: TracePayloads ->
        numbers: Func<int64> ->
        time: int64 ->
        node: string ->
        effects: Effect[] ->
            TraceLine[]

    /// The line of a step that ended with an exception.
    [<CompiledName "Fault">]
    val fault: time: int64 -> node: string -> error: exn -> TraceLine

    /// The type and the fields of a header, as a `pkt` line has them.
    [<CompiledName "Header">]
    val header: header: Header -> string

    /// What a stream has measured, as commentary.
    [<CompiledName "Sample">]
    val sample: time: int64 -> node: string -> sample: TraceSample -> TraceLine

    /// The time of a step's line.
    [<CompiledName "ParseStep">]
    val parseStep: line: TraceLine -> Instant

    /// The events of a step, from the lines behind its own.
    [<CompiledName "ParseEvents">]
    val parseEvents: payloads: TracePayloads -> lines: TraceLine[] -> Event[]

    /// The same, and how many bytes the lines stand for that they do not hold.
    val internal readEvents: payloads: TracePayloads -> lines: TraceLine[] -> struct (Event[] * int64)

    /// An effect other than `pkt`, which is one packet of an effect.
    [<CompiledName "ParseEffect">]
    val parseEffect: payloads: TracePayloads -> line: TraceLine -> Effect

    /// The packet of a `pkt` line, of either direction.
    [<CompiledName "ParsePacket">]
    val parsePacket: payloads: TracePayloads -> line: TraceLine -> TracePacket

    /// What a `chk stream` line says.
    [<CompiledName "ParseSample">]
    val parseSample: line: TraceLine -> TraceSample
