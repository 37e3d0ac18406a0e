namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol
open TraceWords

module private Fields =
    let text key value = TraceLine.field key value
    let count key (value: int64) = key + "=" + number value
    let conn (connId: ConnId) = count "c" (int64 connId)
    let place (index: int) (total: int) = "i=" + number (int64 (index + 1)) + "/" + number (int64 total)

    let numbered (numbers: Func<int64>) = count "p" (if isNull numbers then 0L else numbers.Invoke())

    let pay (value: string) (fields: ResizeArray<string>) = if not (isNull value) then fields.Add("pay=" + value)

    let header
        (header: inref<Header>)
        (sack: ReadOnlySpan<byte>)
        (ownBits: uint64)
        (payload: ReadOnlySpan<byte>)
        payloadText
        (fields: ResizeArray<string>)
        =
        fields.Add(packetType header.Type)
        fields.Add(count "id" (int64 header.ConnectionId))
        fields.Add(count "seq" (int64 header.SeqNr.Value))
        fields.Add(count "ack" (int64 header.AckNr.Value))
        fields.Add(count "wnd" (int64 header.Window))
        fields.Add(count "ts" (int64 header.Timestamp))
        fields.Add(count "td" (int64 header.TimestampDifference))
        fields.Add(count "len" (int64 payload.Length))

        if not sack.IsEmpty then fields.Add("sack=" + hex sack)

        if ownBits <> 0UL then fields.Add("bits=" + bits ownBits)

        pay payloadText fields

    let sized (payloads: TracePayloads) (connId: ConnId) (bytes: ReadOnlySpan<byte>) =
        let fields = ResizeArray [ conn connId; count "len" (int64 bytes.Length) ]
        pay (payloads.OfBytes bytes) fields
        fields.ToArray()

module private Printing =
    open Fields

    let received
        (payloads: TracePayloads)
        numbers
        (line: string -> string[] -> unit)
        (previous: Datagrams)
        from
        (datagrams: Datagrams)
        =
        let fields =
            ResizeArray
                [ text "from" (endpoint from)
                  count "at" (int64 datagrams.ArrivedAt)
                  count "n" (int64 datagrams.Count)
                  count "seg" (int64 datagrams.SegmentSize)
                  count "len" (int64 datagrams.Length) ]

        if not (isNull (box previous)) && Object.ReferenceEquals(previous.Buffer, datagrams.Buffer) then
            let behind = datagrams.Offset - previous.Offset

            if behind >= previous.Length then fields.Add(count "off" (int64 behind))

        line "recv" (fields.ToArray())

        for index in 0 .. datagrams.Count - 1 do
            let datagram = datagrams[index]
            let fields = ResizeArray [ numbered numbers; place index datagrams.Count ]

            match TraceDatagram.decode datagram with
            | ValueSome packet ->
                let head = packet.Header

                header
                    &head
                    packet.Sack.Span
                    packet.Bits
                    packet.Payload.Span
                    (payloads.OfPacket packet.Payload.Span)
                    fields
            | ValueNone -> fields.Add("raw=" + hex datagram.Span)

            line "pkt" (fields.ToArray())

    let sent (payloads: TracePayloads) numbers (line: string -> string[] -> unit) remote (train: Train) =
        for index in 0 .. train.Count - 1 do
            let piece =
                if train.Payload.IsEmpty then
                    train.Payload
                else
                    let start = index * train.PacketSize
                    train.Payload.Slice(start, min train.PacketSize (train.Payload.Length - start))

            let head = { train.Header with SeqNr = train.Header.SeqNr + index }
            let fields = ResizeArray [ numbered numbers; text "to" (endpoint remote); place index train.Count ]
            header &head train.Sack.Span train.Bits piece.Span (payloads.OfPacket piece.Span) fields

            if train.MayFragment then fields.Add "frag=1"

            line "pkt" (fields.ToArray())

/// Meetings and punches. The room's key stands in full: without it nothing of a meeting could be taken again.
module private Tasks =
    open Fields

    let name (taskId: TaskId) = count "t" (int64 taskId)

    let mapping (mapping: PortPrediction) =
        match mapping with
        | PortPrediction.Unknown -> "unknown"
        | PortPrediction.EndpointIndependent -> "independent"
        | PortPrediction.Dependent step -> "dependent:" + number (int64 step)

    let plan taskId (plan: MeetPlan) =
        [| name taskId
           text "to" (endpoint plan.Server)
           "room=" + hex plan.Room.Span
           "hosts=" + String.Join(",", plan.Hosts |> Array.map endpoint)
           count "stays" (if plan.Stays then 1L else 0L)
           "timeout=" + duration plan.Timeout
           "punch=" + duration plan.PunchTimeout
           count "birthday" (if plan.Birthday then 1L else 0L)
           count "hops" (int64 plan.PrimingHops) |]

    let private seen (place: Endpoint voption) =
        match place with
        | ValueSome place -> endpoint place
        | ValueNone -> "none"

    let discovery taskId (options: StunOptions) =
        [| name taskId
           "servers=" + String.Join(",", options.Servers |> Array.map endpoint)
           "local=" + seen options.Local
           "timeout=" + duration options.Timeout
           "test=" + duration options.TestTimeout
           count "behaviour" (if options.Behaviour then 1L else 0L) |]

    let private behavior it =
        match it with
        | ValueNone -> "Unknown"
        | ValueSome NatBehavior.EndpointIndependent -> "EndpointIndependent"
        | ValueSome NatBehavior.AddressDependent -> "AddressDependent"
        | ValueSome NatBehavior.AddressAndPortDependent -> "AddressAndPortDependent"

    let outcome taskId (outcome: StunOutcome) =
        match outcome with
        | StunOutcome.Found it ->
            [| name taskId
               text "server" (endpoint it.Server)
               text "mapped" (endpoint it.Mapped)
               "mapping=" + (if it.IsDirect then "NoNat" else behavior it.Mapping)
               "filtering=" + behavior it.Filtering |]
        | StunOutcome.Failed(StunFailure.NoAnswer after) ->
            [| name taskId; "failed=NoAnswer"; "after=" + duration after |]
        | StunOutcome.Failed(StunFailure.Refused(code, _)) ->
            [| name taskId; "failed=Refused"; count "code" (int64 code) |]
        | StunOutcome.Failed StunFailure.Nonsense -> [| name taskId; "failed=Nonsense" |]

    let report taskId (report: PunchReport) =

        [| name taskId
           "stage=" + stage report.Stage
           text "remote" (endpoint report.Remote)
           "kind=" + pathKind report.Kind
           count "rtt" (int64 report.RoundTrip)
           count "dials" (if report.Dials then 1L else 0L)
           text "observed" (endpoint report.Observed)
           "seen=" + seen report.SeenAs
           "mapping=" + mapping report.Mapping
           "peer=" + seen report.PeerObserved
           "peermapping=" + mapping report.PeerMapping
           count "sent" (int64 report.Sent)
           count "heard" (int64 report.Heard)
           count "elapsed" (int64 report.Elapsed) |]

module TraceText =
    [<CompiledName "Endpoint">]
    let endpoint endpoint = TraceWords.endpoint endpoint

    [<CompiledName "ParseEndpoint">]
    let parseEndpoint text = TraceWords.parseEndpoint text

    [<CompiledName "Events">]
    let events (payloads: TracePayloads) (numbers: Func<int64>) time node (now: Instant) (events: Event[]) =
        let lines = ResizeArray<TraceLine>()
        let line kind fields = lines.Add(TraceLine(time, node, "in", kind, fields))
        line "step" [| Fields.count "now" (int64 now) |]
        let mutable previous = Unchecked.defaultof<Datagrams>

        for event in events do
            let before = previous
            previous <- Unchecked.defaultof<Datagrams>

            match event with
            | Event.Received(from, datagrams) ->
                Printing.received payloads numbers line before from datagrams
                previous <- datagrams
            | Event.Connect(connId, remote, dialect, timeout) ->
                line
                    "connect"
                    [| Fields.conn connId
                       Fields.text "to" (endpoint remote)
                       "dialect=" + TraceWords.dialect dialect
                       "timeout=" + duration timeout |]
            | Event.Listen backlog -> line "listen" [| Fields.count "backlog" (int64 backlog) |]
            | Event.Unlisten -> line "unlisten" [||]
            | Event.Taken connId -> line "taken" [| Fields.conn connId |]
            | Event.Write(connId, bytes) -> line "write" (Fields.sized payloads connId bytes.Span)
            | Event.Consumed(connId, count) -> line "consumed" [| Fields.conn connId; Fields.count "n" (int64 count) |]
            | Event.Finish connId -> line "finish" [| Fields.conn connId |]
            | Event.Release(connId, timeout) -> line "release" [| Fields.conn connId; "timeout=" + duration timeout |]
            | Event.Abort connId -> line "abort" [| Fields.conn connId |]
            | Event.SetIdleTimeout(connId, after) -> line "idle" [| Fields.conn connId; "after=" + duration after |]
            | Event.Unreachable remote -> line "unreachable" [| Fields.text "to" (endpoint remote) |]
            | Event.TooLong(remote, size, limit) ->
                line
                    "toolong"
                    [| Fields.text "to" (endpoint remote)
                       Fields.count "size" (int64 size)
                       Fields.count "limit" (int64 limit) |]
            | Event.Meet(taskId, plan) -> line "meet" (Tasks.plan taskId plan)
            | Event.PunchLegacy(taskId, remote, attempts) ->
                line
                    "punch"
                    [| Tasks.name taskId; Fields.text "to" (endpoint remote); Fields.count "n" (int64 attempts) |]
            | Event.Discover(taskId, options) -> line "discover" (Tasks.discovery taskId options)
            | Event.Cancel taskId -> line "cancel" [| Tasks.name taskId |]

        lines.ToArray()

    [<CompiledName "Effects">]
    let effects (payloads: TracePayloads) (numbers: Func<int64>) time node (effects: Effect[]) =
        let lines = ResizeArray<TraceLine>()
        let line kind fields = lines.Add(TraceLine(time, node, "out", kind, fields))

        for effect in effects do
            match effect with
            | Effect.Send(remote, train) -> Printing.sent payloads numbers line remote train
            | Effect.Deliver(connId, payload) ->
                let flat = Array.zeroCreate<byte> payload.Length
                if not payloads.IsHash then payload.CopyTo(0, Span<byte> flat) |> ignore
                line "deliver" (Fields.sized payloads connId (ReadOnlySpan flat))
            | Effect.Accepted(connId, remote, id) ->
                line
                    "accepted"
                    [| Fields.conn connId; Fields.text "from" (endpoint remote); Fields.count "id" (int64 id) |]
            | Effect.Opened(connId, id) -> line "opened" [| Fields.conn connId; Fields.count "id" (int64 id) |]
            | Effect.Writable(connId, room) ->
                line "writable" [| Fields.conn connId; Fields.count "room" (int64 room) |]
            | Effect.PacketSized(connId, payload) ->
                line "sized" [| Fields.conn connId; Fields.count "payload" (int64 payload) |]
            | Effect.Ended connId -> line "ended" [| Fields.conn connId |]
            | Effect.Finished connId -> line "finished" [| Fields.conn connId |]
            | Effect.Closed(connId, reason) ->
                line "closed" [| Fields.conn connId; "reason=" + TraceWords.reason reason |]
            | Effect.Foreign(from, datagram) ->
                line
                    "foreign"
                    [| Fields.text "from" (endpoint from)
                       Fields.count "len" (int64 datagram.Length)
                       "raw=" + hex datagram.Span |]
            | Effect.SendDatagram(remote, datagram, hops) ->
                line
                    "datagram"
                    [| Fields.text "to" (endpoint remote)
                       Fields.count "hops" (int64 hops)
                       "raw=" + hex datagram.Span |]
            | Effect.OpenSockets(first, count) ->
                line "sockets" [| Fields.count "first" (int64 first); Fields.count "open" (int64 count) |]
            | Effect.CloseSockets(first, count, keep) ->
                line
                    "sockets"
                    [| Fields.count "first" (int64 first)
                       Fields.count "close" (int64 count)
                       Fields.count "keep" (int64 keep) |]
            | Effect.Registered(taskId, observed, mapping) ->
                line
                    "registered"
                    [| Tasks.name taskId
                       Fields.text "observed" (endpoint observed)
                       "mapping=" + Tasks.mapping mapping |]
            | Effect.Introduced(taskId, peer) ->
                line "introduced" [| Tasks.name taskId; Fields.text "peer" (endpoint peer) |]
            | Effect.Punched(taskId, report) -> line "punched" (Tasks.report taskId report)
            | Effect.Discovered(taskId, outcome) -> line "discovered" (Tasks.outcome taskId outcome)
            | Effect.Noted(rule, remote) ->
                line "noted" [| "rule=" + TraceWords.rule rule; Fields.text "to" (endpoint remote) |]

        lines.ToArray()

    [<CompiledName "Fault">]
    let fault time node (error: exn) = TraceLine(time, node, "out", "fault", [| "error=" + error.GetType().Name |])

    [<CompiledName "Stream">]
    let stream time node (connId: ConnId) (statistics: StreamStatistics) =
        let fields =
            [| Fields.conn connId
               Fields.count "cwnd" (int64 statistics.CongestionWindow)
               Fields.count "flight" (int64 statistics.InFlight)
               Fields.count "rtt" (int64 statistics.RoundTrip)
               Fields.count "rto" (int64 statistics.RetransmitTimeout)
               Fields.count "delay" (int64 statistics.QueueingDelay)
               Fields.count "target" (int64 statistics.TargetDelay)
               Fields.count "peerwnd" statistics.PeerWindow
               Fields.count "acked" statistics.BytesAcknowledged
               Fields.count "received" statistics.BytesReceived
               Fields.count "again" statistics.Retransmissions
               Fields.count "timeouts" statistics.Timeouts |]

        TraceLine(time, node, "chk", "stream", fields)

    [<CompiledName "ParseStep">]
    let parseStep (line: TraceLine) : Instant =
        TraceReading.naming line (fun () -> Time.microseconds (parseNumber (TraceReading.find line "now")))

    [<CompiledName "ParseEvents">]
    let parseEvents (payloads: TracePayloads) (lines: TraceLine[]) : Event[] =
        let events = ResizeArray<Event>()
        let runs = ResizeArray<TraceReading.Run>()

        let flush () =
            if runs.Count > 0 then
                events.AddRange(TraceReading.joined (runs.ToArray()))
                runs.Clear()

        let mutable index = 0

        while index < lines.Length do
            let line = lines[index]

            if line.Kind = "recv" then
                let count =
                    TraceReading.naming line (fun () ->
                        int (TraceReading.limited line "n" 1L (int64 (lines.Length - index - 1))))

                let packets = Array.sub lines (index + 1) count

                for packet in packets do
                    if packet.Kind <> "pkt" then
                        TraceReading.naming packet (fun () ->
                            bad "pkt, of which the recv line before has more" packet.Kind)

                let run = TraceReading.naming line (fun () -> TraceReading.run payloads line packets)

                if run.Behind.IsNone then flush ()

                runs.Add run
                index <- index + 1 + count
            else
                flush ()
                events.Add(TraceReading.naming line (fun () -> TraceReading.event payloads line))
                index <- index + 1

        flush ()
        events.ToArray()

    [<CompiledName "ParsePacket">]
    let parsePacket (payloads: TracePayloads) (line: TraceLine) : TracePacket =
        TraceReading.naming line (fun () ->
            let struct (index, count) = TraceReading.position line
            let datagram = Owned(TraceReading.datagram payloads line)

            { Number = line.Number "p"
              Target = if isNull (line.Find "to") then ValueNone else ValueSome(TraceReading.remote line "to")
              Index = index
              Count = count
              Datagram = datagram
              Packet = if isNull (line.Find "raw") then TraceDatagram.decode datagram.AsBorrowed else ValueNone
              Payload = line.Find "pay" })
