namespace UtpPunch.Fuzz

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// What the application knows of a stream.
[<Sealed>]
type AppStream(connId: ConnId, room: int) =
    member _.ConnId = connId
    member val Unread = 0 with get, set
    member val Room = room with get, set
    member val HasFinished = false with get, set
    member val IsWaiting = false with get, set

/// What a remote address has sent and received, and the last packets and datagrams that went there.
[<Sealed>]
type Remote(endpoint: Endpoint) =
    member _.Endpoint = endpoint
    member val Received = 0L with get, set
    member val Sent = 0L with get, set
    /// Whether the node may send there what it likes: the application named the address, or a stream has proved it.
    member val IsProved = false with get, set
    member val Headers = ResizeArray<Header>() with get
    /// The last extension bits that went there.
    member val LastBits = 0UL with get, set

/// A node, its application, and the remote addresses. Checks the invariants after every step.
[<Sealed>]
type NodeWorld(features: Features, options: NodeOptions, overwrites: bool) =
    /// The effects of one event, datagram or stream: what one packet can release, bounded by the buffers.
    static let mostEffects = 40

    /// Probes of a punch with many sockets.
    static let mostDatagrams = 600

    /// What a step may allocate: for each task, which may be a punch with 256 sockets, each of which sends; for each stream; for each received byte.
    static let mostOfTask, mostOfStream, mostOfByte = 300_000L, 10_000L, 30L

    let mutable node = Node.create options (Owned(Array.init 32 byte)) 0L<us>
    let mutable now = 0L<us>
    let mutable tasks = 0
    let mutable lastRule = 0
    let remotes = Dictionary<Endpoint, Remote>()
    let streams = ResizeArray<AppStream>()
    let sentDatagrams = ResizeArray<struct (Endpoint * Owned)>()
    let pending = ResizeArray<Event>()
    let buffers = ResizeArray<byte[]>()
    let asked = Queue<ConnId>()

    let remoteOf (endpoint: Endpoint) =
        match remotes.TryGetValue endpoint with
        | true, known -> known
        | _ ->
            let remote = Remote endpoint
            remotes[endpoint] <- remote
            remote

    let streamOf connId = Seq.tryFind (fun (it: AppStream) -> it.ConnId = connId) streams

    let checkAmplification (remote: Remote) =
        if not remote.IsProved && tasks = 0 then
            Target.check
                (remote.Sent <= 3L * remote.Received)
                $"The node has sent {remote.Sent} bytes to an address without a proof, and received {remote.Received}."

    let send (endpoint: Endpoint) (train: Train) =
        let remote = remoteOf endpoint

        for index in 0 .. train.Count - 1 do
            let datagram = Array.zeroCreate<byte>(train.LengthOf index)
            train.Write(index, Span datagram) |> ignore
            remote.Sent <- remote.Sent + int64 datagram.Length

        remote.Headers.Add { train.Header with SeqNr = train.Header.SeqNr + (train.Count - 1) }
        if train.Bits <> 0UL then remote.LastBits <- train.Bits
        if remote.Headers.Count > 8 then remote.Headers.RemoveAt 0
        checkAmplification remote

    let apply (effect: Effect) =
        features.Add(1, Case<Effect>.Of effect)

        match effect with
        | Effect.Send(remote, train) -> send remote train
        | Effect.SendDatagram(remote, datagram, _) ->
            sentDatagrams.Add(struct (remote, datagram))
            let remote = remoteOf remote
            remote.Sent <- remote.Sent + int64 datagram.Length
            checkAmplification remote
        | Effect.Asked(connId, _) -> asked.Enqueue connId
        | Effect.Accepted(connId, remote, _, _) ->
            (remoteOf remote).IsProved <- true
            streams.Add(AppStream(connId, options.Bep29.SendBuffer, IsWaiting = true))
        | Effect.Deliver(connId, payload) ->
            match streamOf connId with
            | Some stream -> stream.Unread <- stream.Unread + payload.Length
            | None -> ()
        | Effect.Writable(connId, room, _) ->
            match streamOf connId with
            | Some stream -> stream.Room <- room
            | None -> ()
        | Effect.Closed(connId, reason) ->
            features.Add(2, Case<CloseReason>.Of reason)
            streams.RemoveAll(fun it -> it.ConnId = connId) |> ignore
        | Effect.Noted(rule, _) ->
            let number = Case<Rule>.Of rule
            features.Add(NodeWorld.RuleArea, number * 64 + lastRule)
            lastRule <- number
        | Effect.Punched(_, report) -> features.Add(4, Case<PunchStage>.Of report.Stage)
        | Effect.Discovered(_, outcome) -> features.Add(5, Case<StunOutcome>.Of outcome)
        | _ -> ()

    let noteStreams operation =
        for stream in streams do
            match Node.stream stream.ConnId node with
            | ValueSome it ->
                let both = 8 * Case<SendState>.Of it.Sending + Case<ReceiveState>.Of it.Receiving
                features.Add(6, (64 * Case<StreamState>.Of it.State + both) * 32 + operation)
            | ValueNone -> ()

    let checkMemory (events: Event[]) (allocated: int64) =
        let received =
            events
            |> Array.sumBy (fun event ->
                match event with
                | Event.Received(_, it) -> int64 it.Length
                | _ -> 0L)

        let ofStreams = mostOfStream * int64 (streams.Count + options.MaxHalfOpen)

        Target.check
            (allocated <= mostOfTask * int64 (1 + tasks) + ofStreams + mostOfByte * received)
            $"A step with {received} received bytes allocates {allocated} bytes."

    let checkEffects (events: Event[]) (effects: Effect[]) =
        let datagrams =
            events
            |> Array.sumBy (fun event ->
                match event with
                | Event.Received(_, it) -> it.Count
                | _ -> 1)

        let ofTasks = effects |> Array.filter (fun effect -> effect.IsSendDatagram) |> Array.length
        // A packet that fills a gap delivers all that were held behind it.
        let most =
            mostEffects * (1 + datagrams + streams.Count + options.MaxHalfOpen) + options.Bep29.ReorderWindow

        Target.check (effects.Length - ofTasks <= most) $"A step has {effects.Length - ofTasks} effects."
        Target.check (ofTasks <= mostDatagrams) $"A step sends {ofTasks} datagrams of tasks."
        features.AddSize(7, effects.Length)

    let checkNode () =
        Target.check (Node.deadline node > now) "The deadline does not lie ahead."
        let statistics = Node.statistics node
        // The peer of a meeting has proved itself, and is limited as open streams are.
        let most = options.MaxHalfOpen + options.MaxConnections
        Target.check (statistics.HalfOpen <= most) "There are too many half-open streams."
        Target.check (statistics.Incoming + statistics.Outgoing <= options.MaxConnections) "There are too many streams."

    let take (events: Event[]) operation =
        let before = GC.GetAllocatedBytesForCurrentThread()
        let struct (next, effects) = Node.step now events node
        checkMemory events (GC.GetAllocatedBytesForCurrentThread() - before)
        node <- next
        checkEffects events effects
        Array.iter apply effects
        checkNode ()
        noteStreams operation

    /// The area of the features that are a rule and the rule before it.
    static member RuleArea = 3

    /// The rule of such a feature.
    static member RuleOf(feature: int) : int = feature / 64

    member _.Now = now
    member _.Node = node
    member _.Streams = streams
    member _.Remote endpoint = remoteOf endpoint

    /// The last datagram that went to an endpoint, of those that are not uTP.
    member _.LastDatagramTo(endpoint: Endpoint) : Owned voption =
        match Seq.tryFindBack (fun (struct (to', _)) -> endpoint.Equals to') sentDatagrams with
        | Some(struct (_, datagram)) -> ValueSome datagram
        | None -> ValueNone

    /// All of them, the last one first.
    member _.DatagramsTo(endpoint: Endpoint) : Owned seq =
        seq {
            for index in sentDatagrams.Count - 1 .. -1 .. 0 do
                let struct (to', datagram) = sentDatagrams[index]
                if endpoint.Equals to' then datagram
        }

    /// Tasks send to addresses that a rendezvous or a peer names, and which need not prove themselves.
    member _.CountTask() = tasks <- tasks + 1

    member _.Post(event: Event) = pending.Add event

    /// The application decides about the next of the peers that the node has asked about.
    member _.Decide(admits: bool) = if asked.Count > 0 then pending.Add(Event.Decided(asked.Dequeue(), admits))

    /// A datagram, or several of one length in one buffer.
    member _.Receive(from: Endpoint, datagrams: byte[], segment: int) =
        let remote = remoteOf from
        remote.Received <- remote.Received + int64 datagrams.Length
        let buffer = Array.copy datagrams
        buffers.Add buffer
        pending.Add(Event.Received(from, Datagrams(buffer, 0, buffer.Length, max 1 segment, now)))

    /// Takes the events that were posted. The node may keep nothing of received buffers, which are overwritten.
    member _.Step(operation: int) =
        let events = pending.ToArray()
        pending.Clear()
        take events operation

        if overwrites then
            for buffer in buffers do
                Array.fill buffer 0 buffer.Length 0xDDuy

        buffers.Clear()

    member this.Wait(duration: Duration) =
        this.Step 0
        now <- now + duration
        this.Step 0

    member this.WaitUntilDue() =
        this.Step 1
        now <- max now (min (Node.deadline node) (now + Time.seconds 400))
        this.Step 1

    /// The state of the node. It must survive a snapshot.
    member _.Snapshot() : byte[] =
        let bytes = Snapshot.take true node
        let again = Snapshot.take true (Snapshot.restore bytes)
        Target.check (bytes.AsSpan().SequenceEqual(ReadOnlySpan again)) "A snapshot changes when it is restored."
        bytes
