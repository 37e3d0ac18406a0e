namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// What one side's application knows of a stream.
[<Sealed; AllowNullLiteral>]
type StreamView(connId: ConnId, remote: Endpoint) =
    member _.ConnId = connId
    member _.Remote = remote
    member val Received = ResizeArray<byte>() with get
    member val Opened = false with get, set
    member val Room = 0 with get, set
    /// What a full packet carried from when on, as the node told.
    member val Sizes = ResizeArray<int>() with get
    member val Ended = false with get, set
    member val Finished = false with get, set
    member val Closed: CloseReason voption = ValueNone with get, set
    /// Bytes delivered that the application has not consumed.
    member val Unread = 0 with get, set
    /// Whether the application consumes what it is given at once.
    member val Reads = true with get, set

/// One of the two machines: a node, and the application's view of it.
[<Sealed>]
type Side(name: string, endpoint: Endpoint, options: NodeOptions, seed: uint64) =
    let streams = Dictionary<ConnId, StreamView>()
    let seedBytes = Array.init 32 (fun i -> Keyed.byteAt seed (int64 i))
    member _.Name = name
    member _.Endpoint = endpoint
    member _.Options = options
    member _.Seed = Owned seedBytes
    member val Lent = LentBuffers options with get
    member val Node = Node.create options (Owned seedBytes) 0L<us> with get, set
    member _.Streams = streams
    member val Accepted = ResizeArray<StreamView>() with get
    member val Foreign = ResizeArray<byte[]>() with get
    member val Noted = Dictionary<Rule, int>() with get
    member val NextConnId = 0 with get, set
    member val Sent = 0 with get, set
    member val Resets = 0 with get, set
    /// When its process exited and its socket vanished; `Time.never` while it runs.
    member val GoneAt = Time.never with get, set
    member this.IsGone = this.GoneAt <> Time.never

    member this.Count(rule: Rule) =
        match this.Noted.TryGetValue rule with
        | true, count -> count
        | _ -> 0

/// What is under way.
[<Sealed>]
type private Flight(target: Side, from: Endpoint, datagram: byte[]) =
    member _.Target = target
    member _.From = from
    member _.Datagram = datagram

/// Two nodes, two links and a clock that jumps from event to event. The same seed gives the same run.
[<Sealed>]
type Pair(seed: uint64, optionsA: NodeOptions, optionsB: NodeOptions, linkAB: Link, linkBA: Link) =
    let a = Side("A", Endpoint.ofIPv4 0x0A000001u 5000us, optionsA, Keyed.mix (seed + 1UL))
    let b = Side("B", Endpoint.ofIPv4 0x0A000002u 6000us, optionsB, Keyed.mix (seed + 2UL))
    let queue = PriorityQueue<Flight, struct (int64 * int64)>()
    let mutable now = 0L<us>
    let mutable placed = 0L
    let ordinals = Dictionary<Endpoint, int64>()
    let busy = Dictionary<Endpoint, Instant>()

    let other (side: Side) = if Object.ReferenceEquals(side, a) then b else a

    let linkFrom (side: Side) = if Object.ReferenceEquals(side, a) then linkAB else linkBA

    let place (at: Instant) flight =
        placed <- placed + 1L
        queue.Enqueue(flight, struct (int64 at, placed))

    /// When a process whose streams have all closed may exit.
    let exitAt (side: Side) =
        let isClosed (stream: StreamView) = stream.Closed.IsSome

        if side.IsGone || side.Streams.Count = 0 || not (Seq.forall isClosed side.Streams.Values) then
            Time.never
        else
            Node.quietAt side.Node

    let deadlineOf (side: Side) = if side.IsGone then Time.never else Node.deadline side.Node

    member _.A = a
    member _.B = b
    member _.Now = now
    /// Whether a process exits as soon as its node says that it may.
    member val Exits = false with get, set
    /// Whether the system of a process that has exited says that its port is unreachable.
    member val RefusesWhenGone = false with get, set
    /// Called for every datagram before its fate is known; false drops it.
    member val Filter: Func<Side, byte[], bool> = null with get, set
    /// The longest datagram that gets through from a side; null when all do. Those without DF do in any case.
    member val Mtu: Func<Side, int> = null with get, set
    /// Whether a side's system says so when it keeps back what is too long.
    member val SaysTooLong = false with get, set
    /// Whether datagrams that arrive at the same instant are received together.
    member val Batches = false with get, set
    /// Whether input buffers stay as they are. Set it to step nodes of the past again, which read what they were lent.
    member val KeepsBuffers = false with get, set
    /// Called after every step, with what went in and came out.
    member val Watch: Action<Side, Event[], Effect[]> = null with get, set

    /// Puts a datagram on the way to a side, from wherever, with no faults.
    member _.Inject(target: Side, from: Endpoint, datagram: byte[]) = place now (Flight(target, from, datagram))

    member private this.Carry
        (side: Side, remote: Endpoint, datagram: byte[], mayFragment, answers: ResizeArray<Event>)
        =
        let target = other side
        side.Sent <- side.Sent + 1

        if datagram[0] >>> 4 = byte PacketType.Reset then side.Resets <- side.Resets + 1

        let isTooLong = not mayFragment && not (isNull this.Mtu) && datagram.Length > this.Mtu.Invoke side
        let passes = isNull this.Filter || this.Filter.Invoke(side, datagram)

        if isTooLong then
            if this.SaysTooLong then answers.Add(Event.TooLong(remote, datagram.Length, 0))
        elif passes && remote.Equals target.Endpoint then
            let ordinal = ordinals.GetValueOrDefault(side.Endpoint, 0L)
            ordinals[side.Endpoint] <- ordinal + 1L
            let linkSeed = Keyed.mix (seed ^^^ uint64 side.Endpoint.Port)
            let link = linkFrom side

            let struct (fate, until) =
                Link.carry linkSeed ordinal now (busy.GetValueOrDefault(side.Endpoint, 0L<us>)) datagram.Length link

            busy[side.Endpoint] <- until

            if fate.Corrupted then Link.corrupt linkSeed ordinal datagram

            for at in fate.Arrivals do
                place at (Flight(target, side.Endpoint, datagram))

    member private this.Perform(side: Side, effect: Effect, answers: ResizeArray<Event>) =
        let view connId = side.Streams[connId]

        match effect with
        | Effect.Send(remote, train) ->
            for index in 0 .. train.Count - 1 do
                let datagram = Array.zeroCreate (train.LengthOf index)
                train.Write(index, Span<byte>(datagram)) |> ignore
                this.Carry(side, remote, datagram, train.MayFragment, answers)
        | Effect.Deliver(connId, payload) ->
            let stream = view connId
            let bytes = Array.zeroCreate payload.Length
            payload.CopyTo(0, Span<byte>(bytes)) |> ignore
            stream.Received.AddRange bytes
            stream.Unread <- stream.Unread + payload.Length

            if stream.Reads then
                stream.Unread <- stream.Unread - payload.Length
                answers.Add(Event.Consumed(connId, payload.Length))
        | Effect.Accepted(connId, remote, _) ->
            let stream = StreamView(connId, remote, Opened = true)
            stream.Room <- (NodeOptions.forDialect side.Options.Dialect side.Options).SendBuffer
            side.Streams[connId] <- stream
            side.Accepted.Add stream
            answers.Add(Event.Taken connId)
        | Effect.Opened(connId, _) -> (view connId).Opened <- true
        | Effect.Writable(connId, room) -> (view connId).Room <- room
        | Effect.PacketSized(connId, payload) -> (view connId).Sizes.Add payload
        | Effect.Ended connId -> (view connId).Ended <- true
        | Effect.Finished connId -> (view connId).Finished <- true
        | Effect.Closed(connId, reason) -> (view connId).Closed <- ValueSome reason
        | Effect.Foreign(_, datagram) -> side.Foreign.Add(datagram.Span.ToArray())
        // Nobody asks for a meeting here.
        | Effect.SendDatagram _
        | Effect.OpenSockets _
        | Effect.CloseSockets _
        | Effect.Registered _
        | Effect.Introduced _
        | Effect.Punched _
        | Effect.Discovered _ -> ()
        | Effect.Noted(rule, _) -> side.Noted[rule] <- side.Count rule + 1

    /// Steps one side with these events, now, and again with what its application answers.
    member this.Tell(side: Side, [<ParamArray>] events: Event[]) =
        let mutable events = events
        let mutable going = true

        while going do
            let struct (node, effects) = Node.step now events side.Node
            side.Node <- node

            let answers = ResizeArray<Event>()

            for effect in effects do
                this.Perform(side, effect, answers)

            if not (isNull this.Watch) then this.Watch.Invoke(side, events, effects)

            if not this.KeepsBuffers then side.Lent.Stepped(events, effects)

            events <- answers.ToArray()
            going <- events.Length > 0

    /// Opens a stream to the other side.
    member this.Connect(side: Side, dialect: Dialect) : StreamView =
        let stream = StreamView(side.NextConnId, (other side).Endpoint)
        stream.Room <- (NodeOptions.forDialect dialect side.Options).SendBuffer
        side.Streams[stream.ConnId] <- stream
        side.NextConnId <- side.NextConnId + 2
        this.Tell(side, Event.Connect(stream.ConnId, stream.Remote, dialect, Time.seconds 60))
        stream

    /// Writes as much of the bytes as there is room for, and gives how much that was.
    member this.Write(side: Side, stream: StreamView, bytes: ReadOnlySpan<byte>) =
        let count = min stream.Room bytes.Length

        if count > 0 then
            stream.Room <- stream.Room - count
            this.Tell(side, Event.Write(stream.ConnId, Owned(bytes.Slice(0, count).ToArray())))

        count

    /// What one receive call gives: with `Batches`, all that has arrived at that instant on the same way.
    member private this.Batch(first: Flight) =
        let batch = ResizeArray [ first ]
        let mutable gathering = this.Batches

        while gathering && batch.Count < 64 do
            match queue.TryPeek() with
            | true, next, struct (at, _) when
                at = int64 now && Object.ReferenceEquals(next.Target, first.Target) && next.From.Equals first.From
                ->
                batch.Add(queue.Dequeue())
            | _ -> gathering <- false

        let datagrams = [| for flight in batch -> flight.Datagram |]
        let size = datagrams[0].Length
        let alike = datagrams |> Array.forall (fun datagram -> datagram.Length = size)

        if alike then
            let whole = Owned(Array.concat datagrams)
            [| Event.Received(first.From, Datagrams(whole.Array, 0, whole.Length, size, now)) |]
        else
            [| for datagram in datagrams ->
                   Event.Received(first.From, Datagrams.One(Borrowed(Array.copy datagram), now)) |]

    /// Goes to the next thing that happens; false when nothing ever will.
    member this.Advance() = this.AdvanceUntil Time.never

    /// The same, but no further than to an instant that lies ahead, at which nothing need happen.
    member this.AdvanceUntil(limit: Instant) =
        let exit = if this.Exits then min (exitAt a) (exitAt b) else Time.never
        let limit = if limit <= now then Time.never else limit
        let due = min (min (deadlineOf a) (deadlineOf b)) (min exit limit)

        let arrival =
            match queue.TryPeek() with
            | true, _, struct (at, _) -> Time.microseconds at
            | _ -> Time.never

        let next = min due arrival

        if next = Time.never then
            false
        else
            now <- max now next

            if arrival <= due then
                let flight = queue.Dequeue()

                if not flight.Target.IsGone then
                    this.Tell(flight.Target, this.Batch flight)
                elif this.RefusesWhenGone && not (other flight.Target).IsGone then
                    this.Tell(other flight.Target, Event.Unreachable flight.Target.Endpoint)
            else
                if deadlineOf a <= now then this.Tell a

                if deadlineOf b <= now then this.Tell b

            if this.Exits then
                for side in [ a; b ] do
                    if exitAt side <= now then side.GoneAt <- now

            true

    /// Runs until the condition holds; false when it does not by `limit`.
    member this.RunUntil(limit: Duration, condition: Func<bool>) =
        let until = now + limit

        while not (condition.Invoke()) && now < until && this.Advance() do
            ()

        condition.Invoke()
