namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

/// Events and effects as lines of a trace, and back. docs/utrace.md is the grammar.
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

    /// What a stream has measured, as commentary.
    [<CompiledName "Stream">]
    val stream: time: int64 -> node: string -> connId: ConnId -> statistics: StreamStatistics -> TraceLine

    /// The time of a step's line.
    [<CompiledName "ParseStep">]
    val parseStep: line: TraceLine -> Instant

    /// The events of a step, from the lines behind its own. Throws `FormatException` that names the line.
    [<CompiledName "ParseEvents">]
    val parseEvents: payloads: TracePayloads -> lines: TraceLine[] -> Event[]

    /// The datagram of a `pkt` line, of either direction. Throws `FormatException` that names the line.
    [<CompiledName "ParsePacket">]
    val parsePacket: payloads: TracePayloads -> line: TraceLine -> TracePacket
