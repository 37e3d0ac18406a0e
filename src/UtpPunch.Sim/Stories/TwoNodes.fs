namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// A stream as the application of one side sees it.
[<Sealed; AllowNullLiteral>]
type StreamView(connId: ConnId, remote: Endpoint, room: int) =
    member _.ConnId = connId
    member _.Remote = remote
    member val Received = ResizeArray<byte>() with get
    member val Opened = false with get, set
    /// The id under which this side receives, once the stream is open.
    member val Id = 0us with get, set
    member val Room = room with get, set
    /// The payload sizes of a full packet, in the order of the reports.
    member val Sizes = ResizeArray<int>() with get
    member val Ended = false with get, set
    member val Finished = false with get, set
    member val Closed: CloseReason voption = ValueNone with get, set
    /// The error code with which the peer has reset it.
    member val Code: uint32 voption = ValueNone with get, set
    /// Bytes delivered that the application has not consumed.
    member val Unread = 0 with get, set
    /// Whether the application consumes delivered bytes at once.
    member val Reads = true with get, set

/// One of the two hosts: its node, and the application's view of it.
[<Sealed>]
type Side(actor: Actor, core: CoreMachine) =
    member _.Actor = actor
    member _.Name = actor.Name
    member _.Endpoint = actor.Endpoint
    member _.Options = actor.Options
    member _.Node = core.Node
    member val Streams = Dictionary<ConnId, StreamView>() with get
    member val Accepted = ResizeArray<StreamView>() with get
    /// The peers that the node has asked about, in their order, and which of them the application admits.
    member val Asked = ResizeArray<Endpoint>() with get
    member val Admits: Endpoint -> bool = (fun _ -> true) with get, set
    member val internal Answers = ResizeArray<Event>() with get
    member _.Sent = int actor.Sent
    member val Resets = 0 with get, set
    /// Datagrams that are not uTP, such as probes of links. They do not arrive.
    member val Datagrams = 0 with get, set
    member _.Count(rule: Rule) = actor.Rules.GetValueOrDefault rule
    /// When its process exited and its socket closed; `Time.never` while it runs.
    member val GoneAt = Time.never with get, set
    member _.IsGone = actor.IsGone

    /// When the process may exit, after all its streams have closed.
    member internal this.ExitAt =
        let isClosed (stream: StreamView) = stream.Closed.IsSome

        if actor.IsGone || this.Streams.Count = 0 || not (Seq.forall isClosed this.Streams.Values) then
            Time.never
        else
            Node.quietAt core.Node

/// A world of two nodes in which a test acts as the applications: it dials and writes, steps until a condition holds, and reads the
/// streams of both sides. The scenario gives the seed, the clocks and sockets of the hosts, and the paths; its flows are not used.
[<Sealed>]
type TwoNodes(scenario: Scenario, optionsA: NodeOptions, optionsB: NodeOptions, watcher: IWatcher) as this =
    let cores =
        [| for side, options in [ 1UL, optionsA; 2UL, optionsB ] ->
               CoreMachine(options, Keyed.mix (scenario.NodeSeed + side), 0L<us>) |]

    let world = World(scenario, [| for core in cores -> core |], watcher)
    let sides = Array.map2 (fun actor core -> Side(actor, core)) world.Actors cores
    let other (side: Side) = sides[1 - side.Actor.Index]
    let roomOf dialect (side: Side) = (NodeOptions.forDialect dialect side.Options).SendBuffer

    do
        world.Applications <- this

        world.Filter <-
            Func<_, _, _>(fun actor datagram ->
                isNull this.Filter || this.Filter.Invoke(sides[actor.Index], datagram.Bytes))

    new(scenario, optionsA, optionsB) = TwoNodes(scenario, optionsA, optionsB, Unchecked.defaultof<_>)

    member _.World = world
    member _.A = sides[0]
    member _.B = sides[1]
    member _.Now = world.Now
    /// Whether a process exits as soon as its node permits it.
    member val Exits = false with get, set
    /// Called for every datagram from one side to the other; false drops it.
    member val Filter: Func<Side, byte[], bool> = null with get, set

    member private this.ExitWhenQuiet(side: Side) =
        let at = side.ExitAt

        if at <= world.Now then
            side.Actor.IsGone <- true
            side.GoneAt <- world.Now
        elif at <> Time.never then
            world.At(at, (fun () -> this.ExitWhenQuiet side))

    interface IApplications with
        member _.Begin(_, _) = ()

        member _.Tell(actor, effect) =
            let side = sides[actor.Index]
            let view connId = side.Streams[connId]

            match effect with
            | Effect.Send(_, train) when train.Header.Type = PacketType.Reset ->
                side.Resets <- side.Resets + train.Count
            | Effect.SendDatagram _ -> side.Datagrams <- side.Datagrams + 1
            | Effect.Deliver(connId, payload) ->
                let stream = view connId
                stream.Received.AddRange(Describe.flatten payload)

                if stream.Reads then
                    side.Answers.Add(Event.Consumed(connId, payload.Length))
                else
                    stream.Unread <- stream.Unread + payload.Length
            | Effect.Accepted(connId, remote, id, _) ->
                let stream = StreamView(connId, remote, roomOf side.Options.Dialect side, Opened = true, Id = id)
                side.Streams[connId] <- stream
                side.Accepted.Add stream
                side.Answers.Add(Event.Taken connId)
            | Effect.Opened(connId, id) ->
                (view connId).Opened <- true
                (view connId).Id <- id
            | Effect.Writable(connId, room, _) -> (view connId).Room <- room
            | Effect.PacketSized(connId, payload) -> (view connId).Sizes.Add payload
            | Effect.Ended connId -> (view connId).Ended <- true
            | Effect.Finished connId -> (view connId).Finished <- true
            | Effect.Asked(connId, remote) ->
                side.Asked.Add remote
                side.Answers.Add(Event.Decided(connId, side.Admits remote))
            | Effect.ResetWithCode(connId, code) -> (view connId).Code <- ValueSome code
            | Effect.Closed(connId, reason) -> (view connId).Closed <- ValueSome reason
            | Effect.Send _
            | Effect.Foreign _
            | Effect.OpenSockets _
            | Effect.CloseSockets _
            | Effect.PathChanged _
            | Effect.PathLost _
            | Effect.SendAlone _
            | Effect.ServerSilent _
            | Effect.Registered _
            | Effect.Introduced _
            | Effect.Punched _
            | Effect.Discovered _
            | Effect.Noted _ -> ()

        member this.Stepped actor =
            let side = sides[actor.Index]

            if side.Answers.Count > 0 then
                let answers = side.Answers.ToArray()
                side.Answers.Clear()
                world.Step(actor, answers)
            elif this.Exits then
                this.ExitWhenQuiet side

    /// A datagram arrives at a side now, from any address.
    member _.Inject(target: Side, from: Endpoint, datagram: byte[]) = world.Inject(target.Actor, from, datagram)

    /// Steps one side with these events now, and again with the answers of its application.
    member _.Tell(side: Side, [<ParamArray>] events: Event[]) = world.Step(side.Actor, events)

    /// Opens a stream to the other side.
    member this.Connect(side: Side, dialect: Dialect) : StreamView =
        let stream = StreamView(side.Actor.NextConnId, (other side).Endpoint, roomOf dialect side)
        side.Streams[stream.ConnId] <- stream
        side.Actor.NextConnId <- stream.ConnId + 2
        this.Tell(side, Event.Connect(stream.ConnId, stream.Remote, dialect, Time.seconds 60))
        stream

    /// Writes as many of the bytes as there is room for, and returns their number.
    member this.Write(side: Side, stream: StreamView, bytes: ReadOnlySpan<byte>) =
        let count = min stream.Room bytes.Length

        if count > 0 then
            stream.Room <- stream.Room - count
            this.Tell(side, Event.Write(stream.ConnId, Owned(bytes.Slice(0, count).ToArray())))

        count

    /// Advances to the next event; false when there is none.
    member _.Advance() = world.Advance Time.never

    /// Advances the time.
    member _.Wait(duration: Duration) =
        let until = world.Now + duration
        world.At(until, ignore)

        while world.Now < until do
            world.Advance until |> ignore

    /// Runs until the condition holds; false when it does not by `limit`.
    member _.RunUntil(limit: Duration, condition: Func<bool>) =
        let until = world.Now + limit

        while not (condition.Invoke()) && world.Advance until do
            ()

        condition.Invoke()

module TwoNodes =
    /// The scenario of two nodes: faults never end, and a receive call returns at most `batch` datagrams.
    let scenario (seed: uint64) (options: NodeOptions) batch ab ba : Scenario =
        let host =
            { Scenario.host with
                Socket = { Scenario.socket with ReceiveBuffer = Int32.MaxValue; Batch = batch } }

        { Scenario.calm with
            Seed = seed
            NodeSeed = seed
            Dialect = (if options.Dialect = Dialect.Bep29 then "bep29" else "utp-punch")
            A = host
            B = host
            AB = ab
            BA = ba
            Flows = []
            HealAt = Time.never }

    /// Two nodes with the same options; each datagram is received separately.
    let over seed options ab ba = TwoNodes(scenario seed options 1 ab ba, options, options)
