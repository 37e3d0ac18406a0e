namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// A node on the simulated internet, with the sockets that it opens for birthday probing. It is bound to one port of one address of each family
/// that it has.
[<Sealed>]
type NodeHost(first: Endpoint[], seed: uint64) =
    let mutable sockets = first

    let mutable node =
        Node.create NodeOptions.standard (Owned(Array.init 32 (fun index -> Keyed.byteAt seed (int64 index)))) 0L<us>

    let lent = LentBuffers()
    let told = List<Event>()
    let more = HashSet<uint16>()
    let punched = List<PunchReport>()
    let mapped = List<Endpoint>()
    let accepted = List<struct (Endpoint * uint16 * bool)>()
    let openedIds = List<uint16>()
    let reasons = List<CloseReason>()
    let synIds = HashSet<uint16>()
    let firstStates = Dictionary<uint16, SeqNr>()
    let firstAcks = Dictionary<uint16, SeqNr>()
    let mutable opened = 0
    let mutable nextConnId = 2
    let mutable sent = 0L
    let mutable delivered = 0L
    let mutable closed = 0

    static let ordinaryTtl = 64

    /// 100.64.0.0/10, where overlays and carriers have their addresses.
    let isShared (endpoint: Endpoint) = Endpoint.isIPv4 endpoint && uint32 endpoint.Low &&& 0xFFC00000u = 0x64400000u

    /// The address that reaches a remote one, if there is one: one in its network, one of an overlay for an overlay's, or the first of its family.
    /// The ports of further sockets follow that of the first.
    let socketTo (remote: Endpoint) =
        let family = sockets |> Array.filter (fun own -> Endpoint.isIPv4 own = Endpoint.isIPv4 remote)
        let isThere (own: Endpoint) = own.High = remote.High && (own.Low >>> 8) = (remote.Low >>> 8)
        let near = if remote.Via = 0us then Array.tryFindBack isThere family else None

        match near, family |> Array.tryFind (fun own -> isShared own = isShared remote), Array.tryHead family with
        | Some own, _, _ -> ValueSome own
        | None, Some own, _
        | None, None, Some own -> ValueSome(Endpoint.withPort (own.Port + remote.Via) own)
        | None, None, None -> ValueNone

    new(first: Endpoint, seed) = NodeHost([| first |], seed)

    member _.Socket = sockets[0]
    /// What it is bound to: one endpoint of each family, and one of each further network.
    member _.Sockets = sockets
    member _.Node = node
    /// The results of its punches, in order.
    member _.Punched = punched
    /// What STUN servers have seen, in order.
    member _.Mapped = mapped
    /// The number of open streams over punched paths.
    member _.Opened = opened
    member _.Sent = sent
    /// Accepted streams: the remote endpoint, the id under which this host receives, and whether it is of a meeting.
    member _.Accepted = accepted
    /// The ids under which this host receives the streams that it has opened.
    member _.OpenedIds = openedIds
    /// Why its streams have closed.
    member _.Reasons = reasons
    /// The ids of the SYNs that it has sent.
    member _.SynIds = synIds
    /// By id: the number of the first STATE that it has sent, and the first that it has acknowledged.
    member _.FirstStates = firstStates
    member _.FirstAcks = firstAcks
    /// How often the node has asked about a peer, and whether the application admits all of them, or none.
    member val Asked = 0 with get, set
    member val Admits = true with get, set
    member val PunchedAt = Time.never with get, set
    member val OpenedAt = Time.never with get, set
    /// Bytes that its streams have delivered, and the number of closed streams.
    member _.Delivered = delivered
    member _.Closed = closed
    /// Whether to check the node's laws after every step, which takes several times as long.
    member val IsChecked = false with get, set
    /// What its application writes and reads; null for none.
    member val Transfer: Transfer = null with get, set

    /// It gets another address. `Internet.Move` follows.
    member _.MoveTo(other: Endpoint) =
        sockets <- [| other; yield! Array.tail sockets |]
        told.Add(Event.NetworkChanged [| other |])

    /// It gets another address in addition. `Internet.AddHost` follows.
    member _.Join(other: Endpoint) =
        sockets <- [| yield! sockets; other |]
        told.Add(Event.NetworkChanged sockets)

    member this.Tell(internet: Internet, event: Event) =
        told.Add event
        internet.Wake this

    /// Checks the node's laws for a step, and returns the node as its snapshot restores it.
    member private _.Check(now: Instant, events: Event[], before: Node, effects: Effect[], after: Node) =
        let stepped at events node =
            let struct (_, effects) = Node.step at events node
            Describe.effects effects

        let deadline = Node.deadline after

        if deadline <= now then
            Check.fail "S12" $"after its step at {int64 now} a node wants to wake at {int64 deadline}"

        if stepped now events before <> Describe.effects effects then
            Check.fail "S12" "the same step twice has other effects"

        if stepped now [||] after <> "" then
            Check.fail "S12" $"a second step at {int64 now} has effects"

        if deadline <> Time.never && stepped (deadline - 1L<us>) [||] after <> "" then
            Check.fail "S12" $"effects ahead of the deadline at {int64 deadline}"

        Snapshot.restore (Snapshot.take true after)

    member private this.Perform(now: Instant, out: List<FromHost>, again: List<Event>, effect: Effect) =
        let emit (remote: Endpoint) ttl (bytes: byte[]) =
            // Datagrams of a socket that was closed are dropped.
            if remote.Via = 0us || more.Contains remote.Via then
                match socketTo remote with
                | ValueSome own ->
                    sent <- sent + 1L
                    out.Add { Socket = own; To = Endpoint.via 0us remote; Ttl = ttl; Bytes = bytes }
                | ValueNone -> () // the system has no route

        if not (isNull this.Transfer) then again.AddRange(this.Transfer.Take(now, effect))

        match effect with
        | Effect.SendDatagram(remote, datagram, hops) ->
            emit remote (if hops = 0 then ordinaryTtl else hops) (datagram.Span.ToArray())
        | Effect.Send(remote, train) ->
            let header = train.Header

            match header.Type with
            | PacketType.Syn -> synIds.Add header.ConnectionId |> ignore
            | PacketType.Reset -> ()
            | kind ->
                if kind = PacketType.State then
                    firstStates.TryAdd(header.ConnectionId, header.SeqNr) |> ignore

                firstAcks.TryAdd(header.ConnectionId, header.AckNr) |> ignore

            for index in 0 .. train.Count - 1 do
                let bytes = Array.zeroCreate (train.LengthOf index)
                train.Write(index, Span<byte> bytes) |> ignore
                emit remote ordinaryTtl bytes
        | Effect.OpenSockets(first, count) ->
            for via in first .. first + count - 1 do
                more.Add(uint16 via) |> ignore
        | Effect.CloseSockets(first, count, keep) ->
            more.RemoveWhere(fun via -> int via >= first && int via < first + count && int via <> keep)
            |> ignore
        | Effect.Punched(_, report) ->
            punched.Add report
            this.PunchedAt <- now

            if report.Stage = PunchStage.Open && report.Dials then
                again.Add(Event.Connect(nextConnId, report.Remote, Dialect.Bep29, Time.seconds 30))
                nextConnId <- nextConnId + 2
        | Effect.Opened(_, id) ->
            openedIds.Add id
            opened <- opened + 1
            this.OpenedAt <- now
        | Effect.Asked(connId, _) ->
            this.Asked <- this.Asked + 1
            again.Add(Event.Decided(connId, this.Admits))
        | Effect.Accepted(_, remote, id, isMeeting) ->
            accepted.Add(struct (remote, id, isMeeting))
            opened <- opened + 1
            this.OpenedAt <- now
        | Effect.Discovered(_, StunOutcome.Found report) -> mapped.Add report.Mapped
        | Effect.Discovered(_, StunOutcome.Failed _) -> ()
        | Effect.Deliver(_, payload) -> delivered <- delivered + int64 payload.Length
        | Effect.Closed(_, reason) ->
            reasons.Add reason
            closed <- closed + 1
        | Effect.Writable _
        | Effect.PacketSized _
        | Effect.PathChanged _
        | Effect.ResetWithCode _
        | Effect.PathLost _
        | Effect.Ended _
        | Effect.Finished _
        | Effect.Foreign _
        | Effect.Registered _
        | Effect.Introduced _
        | Effect.SendAlone _
        | Effect.ServerSilent _
        | Effect.Noted _ -> ()

    interface IInternetHost with
        member this.Step(now, arrived) =
            let out = List<FromHost>()
            let mutable batch = List<Event> told
            told.Clear()

            for incoming in arrived do
                let from = Endpoint.via (incoming.Socket.Port - sockets[0].Port) incoming.From
                batch.Add(Event.Received(from, Datagrams.One(Borrowed(Array.copy incoming.Bytes), now)))

            if not (isNull this.Transfer) then batch.AddRange(this.Transfer.Due now)

            let mutable going = true

            while going do
                let events = batch.ToArray()
                let struct (next, effects) = Node.step now events node
                node <- if this.IsChecked then this.Check(now, events, node, effects, next) else next
                batch <- List<Event>()

                for effect in effects do
                    this.Perform(now, out, batch, effect)

                lent.Stepped(events, effects)

                going <- batch.Count > 0

            out.ToArray()

        member this.Deadline =
            if isNull this.Transfer then
                Node.deadline node
            else
                min (Node.deadline node) this.Transfer.NextAt

        member _.IsOpen other =
            sockets |> Array.exists (Endpoint.isSameAddress other)
            && (other.Port = sockets[0].Port
                || (other.Port > sockets[0].Port && more.Contains(other.Port - sockets[0].Port)))

/// A rendezvous server on the simulated internet.
[<Sealed>]
type RendezvousHost(sockets: Endpoint[], seed: uint64) =
    let mutable server =
        Rendezvous.create
            { Rendezvous.standard with Sockets = sockets; RatePerSource = 10_000; Stun = true }
            (Owned(Array.init 32 (fun index -> Keyed.byteAt seed (int64 index))))
            0L<us>

    member _.Sockets = sockets
    member _.Statistics = Rendezvous.statistics server
    member _.Counts = Rendezvous.counts server

    interface IInternetHost with
        member _.Step(now, arrived) =
            let received =
                [| for incoming in arrived do
                       let via = Array.IndexOf(sockets, incoming.Socket)
                       struct (Endpoint.via (uint16 via) incoming.From, Borrowed(Array.copy incoming.Bytes)) |]

            let struct (next, sent) = Rendezvous.step now received server
            server <- next

            for struct (_, datagram) in received do
                LentBuffers.Overwrite datagram

            [| for struct (remote, datagram) in sent ->
                   { Socket = sockets[int remote.Via]
                     To = Endpoint.via 0us remote
                     Ttl = 64
                     Bytes = datagram.Span.ToArray() } |]

        member _.Deadline = Rendezvous.deadline server
        member _.IsOpen socket = Array.contains socket sockets
