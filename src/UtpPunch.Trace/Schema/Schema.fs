namespace UtpPunch.Tracing

open UtpPunch.Protocol

module private Numbers =
    let private any unit = NumberKind(unit, int64 System.Int32.MinValue, int64 System.Int32.MaxValue)
    let private natural unit = NumberKind(unit, 0L, int64 System.Int32.MaxValue)
    let stream = any "stream"
    let task = any "task"
    let count = natural "count"
    /// A count that the core checks.
    let anyCount = any "count"
    let bytes = natural "bytes"
    /// What the core checks.
    let anyBytes = any "bytes"
    let connectionId = NumberKind("id", 0L, 65535L)
    let hops = NumberKind("hops", 0L, 255L)
    let bit = NumberKind("0 or 1", 0L, 1L)
    let uint16 = NumberKind("number", 0L, 65535L)
    let uint32 = NumberKind("number", 0L, 0xFFFF_FFFFL)
    let stamp = NumberKind("microseconds", 0L, 0xFFFF_FFFFL)
    let window = NumberKind("bytes", 0L, 0xFFFF_FFFFL)
    let length = NumberKind("bytes", 0L, 65535L)
    let total = NumberKind("count", 0L, System.Int64.MaxValue)
    let totalBytes = NumberKind("bytes", 0L, System.Int64.MaxValue)
    // Options, in the limits that the public options have, and room for smaller values of tests.
    let buffer = NumberKind("bytes", 0L, 1L <<< 30)
    let packet = NumberKind("bytes", 21L, 65535L)
    let packets = NumberKind("count", 1L, 65535L)
    let reorder = NumberKind("count", 0L, 16384L)
    let streams = NumberKind("count", 0L, 1L <<< 24)

module Schema =
    let private name (f: Fields) key (names: Names<'T>) (value: 'T) : 'T =
        names.Values[f.Name(key, names.Texts, names.IndexOf value)]

    let private stream (f: Fields) (value: ConnId) : ConnId = int (f.Number("c", Numbers.stream, int64 value))
    let private task (f: Fields) (value: TaskId) : TaskId = int (f.Number("t", Numbers.task, int64 value))
    let private int32 (f: Fields) key kind (value: int) = int (f.Number(key, kind, int64 value))
    let private id (f: Fields) (value: uint16) = uint16 (f.Number("id", Numbers.connectionId, int64 value))
    let private code (f: Fields) (value: uint32) = uint32 (f.Number("code", Numbers.uint32, int64 value))
    let private bit (f: Fields) key (value: bool) = f.Number(key, Numbers.bit, (if value then 1L else 0L)) = 1L

    // ---- Records ----

    let private plan (f: Fields) (it: MeetPlan) : MeetPlan =
        { Servers = f.Endpoints("to", it.Servers)
          Room = f.Bytes("room", it.Room)
          Hosts = f.Endpoints("hosts", it.Hosts)
          Stays = bit f "stays" it.Stays
          Timeout = f.Duration("timeout", it.Timeout)
          PunchTimeout = f.Duration("punch", it.PunchTimeout)
          Birthday = bit f "birthday" it.Birthday
          PrimingHops = int32 f "hops" Numbers.hops it.PrimingHops
          PrivateAddresses = name f "private" TraceNames.privateAddresses it.PrivateAddresses
          PathTimeout = f.Duration("path", it.PathTimeout)
          Reports = bit f "reports" it.Reports }

    let private discovery (f: Fields) (it: StunOptions) : StunOptions =
        { Servers = f.Endpoints("servers", it.Servers)
          Local = f.OptionalEndpoint("local", it.Local)
          Timeout = f.Duration("timeout", it.Timeout)
          TestTimeout = f.Duration("test", it.TestTimeout)
          Behaviour = bit f "behaviour" it.Behaviour }

    let private report (f: Fields) (it: PunchReport) : PunchReport =
        { Stage = name f "stage" TraceNames.stages it.Stage
          Remote = f.Endpoint("remote", it.Remote)
          Kind = name f "kind" TraceNames.pathKinds it.Kind
          RoundTrip = f.Time("rtt", it.RoundTrip)
          Dials = bit f "dials" it.Dials
          Observed = f.Endpoint("observed", it.Observed)
          SeenAs = f.OptionalEndpoint("seen", it.SeenAs)
          Mapping = f.Prediction("mapping", it.Mapping)
          PeerObserved = f.OptionalEndpoint("peer", it.PeerObserved)
          PeerMapping = f.Prediction("peermapping", it.PeerMapping)
          Sent = int32 f "sent" Numbers.count it.Sent
          Heard = int32 f "heard" Numbers.count it.Heard
          Elapsed = f.Time("elapsed", it.Elapsed) }

    // What a server's own endpoints and the round trip were is in the datagrams.
    let private found (f: Fields) (it: StunReport) : StunReport =
        { it with
            Server = f.Endpoint("server", it.Server)
            Mapped = f.Endpoint("mapped", it.Mapped)
            IsDirect = bit f "direct" it.IsDirect
            Mapping = name f "mapping" TraceNames.natBehaviors it.Mapping
            Filtering = name f "filtering" TraceNames.natBehaviors it.Filtering }

    let private failed (f: Fields) (taskId: TaskId) (failure: StunFailure) : Effect =
        let fields kind (rest: unit -> StunFailure) =
            f.Begin kind
            let taskId = task f taskId
            f.Word kind.Key
            Effect.Discovered(taskId, StunOutcome.Failed(rest ()))

        match failure with
        | StunFailure.NoAnswer after ->
            fields Kinds.noAnswer (fun () -> StunFailure.NoAnswer(f.Duration("after", after)))
        | StunFailure.Refused(code, reason) ->
            fields Kinds.refused (fun () -> StunFailure.Refused(int32 f "code" Numbers.count code, reason))
        | StunFailure.Nonsense -> fields Kinds.nonsense (fun () -> StunFailure.Nonsense)

    /// One of the application's own has no name that a reader could know.
    let private congestion (f: Fields) key (value: CongestionControl) : CongestionControl =
        let names = TraceNames.congestionControls
        let known = if Array.contains value names.Values then value else CongestionControls.foreign
        name f key names known

    let private phase (f: Fields) (value: string) : string =
        let names = TraceNames.phases
        let known = if Array.contains value names.Values then value else names.Values[0]
        name f "phase" names known

    let private streamOptions (f: Fields) (prefix: string) (it: StreamOptions) : StreamOptions =
        { SendBuffer = int32 f (prefix + "sendBuffer") Numbers.buffer it.SendBuffer
          MaxSendBuffer = int32 f (prefix + "maxSendBuffer") Numbers.buffer it.MaxSendBuffer
          ReceiveBuffer = int32 f (prefix + "receiveBuffer") Numbers.buffer it.ReceiveBuffer
          MaxReceiveBuffer = int32 f (prefix + "maxReceiveBuffer") Numbers.buffer it.MaxReceiveBuffer
          PacketSize = int32 f (prefix + "packetSize") Numbers.packet it.PacketSize
          LargestPacket = int32 f (prefix + "largestPacket") Numbers.packet it.LargestPacket
          PacketWindow = int32 f (prefix + "packetWindow") Numbers.packets it.PacketWindow
          MaxPacketWindow = int32 f (prefix + "maxPacketWindow") Numbers.packets it.MaxPacketWindow
          ReorderWindow = int32 f (prefix + "reorderWindow") Numbers.reorder it.ReorderWindow
          GiveUpAfter = f.Duration(prefix + "giveUpAfter", it.GiveUpAfter)
          IdleTimeout = f.Duration(prefix + "idleTimeout", it.IdleTimeout)
          KeepAlive = f.Duration(prefix + "keepAlive", it.KeepAlive)
          Migrates = name f (prefix + "migrates") TraceNames.flags it.Migrates
          InitialRto = f.Duration(prefix + "initialRto", it.InitialRto)
          MinRto = f.Duration(prefix + "minRto", it.MinRto)
          MaxRto = f.Duration(prefix + "maxRto", it.MaxRto)
          TargetDelay = f.Duration(prefix + "targetDelay", it.TargetDelay)
          Congestion = congestion f (prefix + "congestion") it.Congestion
          NoDelay = name f (prefix + "noDelay") TraceNames.flags it.NoDelay }

    /// The options of a `#node` line.
    let nodeOptions (f: Fields) (it: NodeOptions) : NodeOptions =
        { Dialect = name f "dialect" TraceNames.dialects it.Dialect
          MaxConnections = int32 f "maxConnections" Numbers.streams it.MaxConnections
          MaxPerAddress = int32 f "maxPerAddress" Numbers.streams it.MaxPerAddress
          MaxHalfOpen = int32 f "maxHalfOpen" Numbers.streams it.MaxHalfOpen
          ReceiveBudget = f.Number("receiveBudget", Numbers.totalBytes, it.ReceiveBudget)
          HalfOpenTimeout = f.Duration("halfOpenTimeout", it.HalfOpenTimeout)
          Bep29 = streamOptions f "bep29." it.Bep29
          UtpPunch = streamOptions f "utpPunch." it.UtpPunch }

    // ---- Lines with fields only ----

    /// A header's fields, on a `pkt` line behind its type.
    let header (f: Fields) (it: Header) : Header =
        { Type = it.Type
          ConnectionId = id f it.ConnectionId
          SeqNr = SeqNr(uint16 (f.Number("seq", Numbers.uint16, int64 it.SeqNr.Value)))
          AckNr = SeqNr(uint16 (f.Number("ack", Numbers.uint16, int64 it.AckNr.Value)))
          Window = uint32 (f.Number("wnd", Numbers.window, int64 it.Window))
          Timestamp = uint32 (f.Number("ts", Numbers.stamp, int64 it.Timestamp))
          TimestampDifference = uint32 (f.Number("td", Numbers.stamp, int64 it.TimestampDifference)) }

    /// The length of a packet's payload.
    let length (f: Fields) (value: int) = int32 f "len" Numbers.length value

    /// A `chk stream` line.
    let sample (f: Fields) (it: TraceSample) : TraceSample =
        { Stream = stream f it.Stream
          CongestionWindow = f.Number("cwnd", Numbers.totalBytes, it.CongestionWindow)
          PacingRate = f.Number("pace", Numbers.totalBytes, it.PacingRate)
          DeliveryRate = f.Number("rate", Numbers.totalBytes, it.DeliveryRate)
          Phase = phase f it.Phase
          InFlight = f.Number("flight", Numbers.totalBytes, it.InFlight)
          RoundTrip = f.Time("rtt", it.RoundTrip)
          RetransmitTimeout = f.Duration("rto", it.RetransmitTimeout)
          QueueingDelay = f.Time("delay", it.QueueingDelay)
          TargetDelay = f.Time("target", it.TargetDelay)
          PeerWindow = f.Number("peerwnd", Numbers.totalBytes, it.PeerWindow)
          BytesAcknowledged = f.Number("acked", Numbers.totalBytes, it.BytesAcknowledged)
          BytesReceived = f.Number("received", Numbers.totalBytes, it.BytesReceived)
          Retransmissions = f.Number("again", Numbers.total, it.Retransmissions)
          Timeouts = f.Number("timeouts", Numbers.total, it.Timeouts) }

    // ---- Events and effects ----

    let event (f: Fields) (value: Event) : Event =
        match value with
        | Event.Received(from, datagrams) ->
            f.Begin Kinds.received
            let struct (from, datagrams) = f.Received(from, datagrams)
            Event.Received(from, datagrams)
        | Event.Connect(connId, remote, dialect, timeout) ->
            f.Begin Kinds.connect

            Event.Connect(
                stream f connId,
                f.Endpoint("to", remote),
                name f "dialect" TraceNames.dialects dialect,
                f.Duration("timeout", timeout)
            )
        | Event.ConnectSimultaneously(connId, remote, timeout, primingHops) ->
            f.Begin Kinds.simultaneous

            Event.ConnectSimultaneously(
                stream f connId,
                f.Endpoint("to", remote),
                f.Duration("timeout", timeout),
                int32 f "hops" Numbers.hops primingHops
            )
        | Event.Listen backlog ->
            f.Begin Kinds.listen
            Event.Listen(int32 f "backlog" Numbers.anyCount backlog)
        | Event.ListenSelectively backlog ->
            f.Begin Kinds.listenSelectively
            Event.ListenSelectively(int32 f "backlog" Numbers.anyCount backlog)
        | Event.Decided(connId, admits) ->
            f.Begin Kinds.decided
            Event.Decided(stream f connId, bit f "admits" admits)
        | Event.Unlisten ->
            f.Begin Kinds.unlisten
            value
        | Event.Taken connId ->
            f.Begin Kinds.taken
            Event.Taken(stream f connId)
        | Event.Write(connId, bytes) ->
            f.Begin Kinds.write
            Event.Write(stream f connId, f.Written bytes)
        | Event.Consumed(connId, count) ->
            f.Begin Kinds.consumed
            Event.Consumed(stream f connId, int32 f "n" Numbers.anyBytes count)
        | Event.Finish connId ->
            f.Begin Kinds.finish
            Event.Finish(stream f connId)
        | Event.Release(connId, timeout) ->
            f.Begin Kinds.release
            Event.Release(stream f connId, f.Duration("timeout", timeout))
        | Event.Abort connId ->
            f.Begin Kinds.abort
            Event.Abort(stream f connId)
        | Event.AbortWithCode(connId, value) ->
            f.Begin Kinds.abortWithCode
            Event.AbortWithCode(stream f connId, code f value)
        | Event.SetIdleTimeout(connId, after) ->
            f.Begin Kinds.idle
            Event.SetIdleTimeout(stream f connId, f.Duration("after", after))
        | Event.SetCongestionControl(connId, control) ->
            f.Begin Kinds.congestion
            Event.SetCongestionControl(stream f connId, congestion f "control" control)
        | Event.Unreachable remote ->
            f.Begin Kinds.unreachable
            Event.Unreachable(f.Endpoint("to", remote))
        | Event.TooLong(remote, size, limit) ->
            f.Begin Kinds.tooLong

            Event.TooLong(
                f.Endpoint("to", remote),
                int32 f "size" Numbers.bytes size,
                int32 f "limit" Numbers.bytes limit
            )
        | Event.PortUnreachable(remote, quoted) ->
            f.Begin Kinds.portUnreachable
            Event.PortUnreachable(f.Endpoint("to", remote), f.Bytes("quoted", quoted))
        | Event.Meet(taskId, it) ->
            f.Begin Kinds.meet
            Event.Meet(task f taskId, plan f it)
        | Event.MeetAlso(taskId, first, it) ->
            f.Begin Kinds.meetAlso
            Event.MeetAlso(task f taskId, int32 f "first" Numbers.task first, plan f it)
        | Event.PunchOffered(taskId, it, own, peer, answers) ->
            f.Begin Kinds.offered

            Event.PunchOffered(
                task f taskId,
                plan f it,
                f.Bytes("own", own),
                f.Bytes("peer", peer),
                bit f "answers" answers
            )
        | Event.PunchLegacy(taskId, remote, attempts) ->
            f.Begin Kinds.punch
            Event.PunchLegacy(task f taskId, f.Endpoint("to", remote), int32 f "n" Numbers.count attempts)
        | Event.Discover(taskId, options) ->
            f.Begin Kinds.discover
            Event.Discover(task f taskId, discovery f options)
        | Event.Servers(taskId, servers) ->
            f.Begin Kinds.servers
            Event.Servers(task f taskId, f.Endpoints("to", servers))
        | Event.NetworkChanged hosts ->
            f.Begin Kinds.networkChanged
            Event.NetworkChanged(f.Endpoints("hosts", hosts))
        | Event.LocalGone local ->
            f.Begin Kinds.localGone
            Event.LocalGone(uint16 (f.Number("local", Numbers.uint16, int64 local)))
        | Event.Nat64 prefixes ->
            f.Begin Kinds.nat64
            let endpoints = f.Endpoints("prefixes", Array.map Nat64.toEndpoint prefixes)
            Event.Nat64(Array.map Nat64.ofEndpoint endpoints)
        | Event.Cancel taskId ->
            f.Begin Kinds.cancel
            Event.Cancel(task f taskId)

    let effect (f: Fields) (value: Effect) : Effect =
        match value with
        | Effect.Send(remote, train) ->
            f.Begin Kinds.sent
            let struct (remote, train) = f.Sent(remote, train)
            Effect.Send(remote, train)
        | Effect.Deliver(connId, payload) ->
            f.Begin Kinds.deliver
            Effect.Deliver(stream f connId, f.Delivered payload)
        | Effect.Asked(connId, remote) ->
            f.Begin Kinds.asked
            Effect.Asked(stream f connId, f.Endpoint("from", remote))
        | Effect.Accepted(connId, remote, connectionId, isMeeting) ->
            f.Begin Kinds.accepted

            Effect.Accepted(
                stream f connId,
                f.Endpoint("from", remote),
                id f connectionId,
                name f "meeting" TraceNames.flags isMeeting
            )
        | Effect.Opened(connId, connectionId) ->
            f.Begin Kinds.opened
            Effect.Opened(stream f connId, id f connectionId)
        | Effect.Writable(connId, room, unacknowledged) ->
            f.Begin Kinds.writable

            Effect.Writable(
                stream f connId,
                int32 f "room" Numbers.bytes room,
                int32 f "unacknowledged" Numbers.bytes unacknowledged
            )
        | Effect.PacketSized(connId, payload) ->
            f.Begin Kinds.sized
            Effect.PacketSized(stream f connId, int32 f "payload" Numbers.bytes payload)
        | Effect.PathChanged(connId, remote) ->
            f.Begin Kinds.pathChanged
            Effect.PathChanged(stream f connId, f.Endpoint("to", remote))
        | Effect.PathLost connId ->
            f.Begin Kinds.pathLost
            Effect.PathLost(stream f connId)
        | Effect.Ended connId ->
            f.Begin Kinds.ended
            Effect.Ended(stream f connId)
        | Effect.Finished connId ->
            f.Begin Kinds.finished
            Effect.Finished(stream f connId)
        | Effect.ResetWithCode(connId, value) ->
            f.Begin Kinds.resetWithCode
            Effect.ResetWithCode(stream f connId, code f value)
        | Effect.Closed(connId, reason) ->
            f.Begin Kinds.closed
            Effect.Closed(stream f connId, name f "reason" TraceNames.reasons reason)
        | Effect.Foreign(from, datagram) ->
            f.Begin Kinds.foreign
            let from = f.Endpoint("from", from)
            int32 f "len" Numbers.length datagram.Length |> ignore
            Effect.Foreign(from, f.Datagram("raw", datagram))
        | Effect.SendDatagram(remote, datagram, hops) ->
            f.Begin Kinds.datagram
            let remote = f.Endpoint("to", remote)
            let hops = int32 f "hops" Numbers.hops hops
            Effect.SendDatagram(remote, f.Bytes("raw", datagram), hops)
        | Effect.OpenSockets(first, count) ->
            f.Begin Kinds.openSockets
            Effect.OpenSockets(int32 f "first" Numbers.count first, int32 f "open" Numbers.count count)
        | Effect.CloseSockets(first, count, keep) ->
            f.Begin Kinds.closeSockets
            let first = int32 f "first" Numbers.count first
            Effect.CloseSockets(first, int32 f "close" Numbers.count count, int32 f "keep" Numbers.count keep)
        | Effect.SendAlone(remote, duration) ->
            f.Begin Kinds.sendAlone
            let remote = f.Endpoint("to", remote)
            Effect.SendAlone(remote, f.Duration("for", duration))
        | Effect.Registered(taskId, observed, mapping) ->
            f.Begin Kinds.registered
            Effect.Registered(task f taskId, f.Endpoint("observed", observed), f.Prediction("mapping", mapping))
        | Effect.ServerSilent taskId ->
            f.Begin Kinds.serverSilent
            Effect.ServerSilent(task f taskId)
        | Effect.Introduced(taskId, peer) ->
            f.Begin Kinds.introduced
            Effect.Introduced(task f taskId, f.Endpoint("peer", peer))
        | Effect.Punched(taskId, it) ->
            f.Begin Kinds.punched
            Effect.Punched(task f taskId, report f it)
        | Effect.Discovered(taskId, StunOutcome.Found it) ->
            f.Begin Kinds.discovered
            Effect.Discovered(task f taskId, StunOutcome.Found(found f it))
        | Effect.Discovered(taskId, StunOutcome.Failed failure) -> failed f taskId failure
        | Effect.Noted(rule, remote) ->
            f.Begin Kinds.noted
            Effect.Noted(name f "rule" TraceNames.rules rule, f.Endpoint("to", remote))
