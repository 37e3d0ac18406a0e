namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Whose step it is.
[<RequireQualifiedAccess>]
type CrowdRole =
    | Server
    /// A node that stays in the room.
    | Staying
    | Visitor

/// Learns when a step begins and ends, to measure it.
type ICrowdMeter =
    abstract Begin: unit -> unit
    abstract End: role: CrowdRole * datagrams: int -> unit

/// A node of a crowd.
[<AllowNullLiteral>]
type private Member(index: int, stays: bool, node: Node) =
    member _.Index = index
    member _.Stays = stays
    member _.Socket = Endpoint.ofIPv4 (0x0A000000u + uint32 index) 4000us
    member val Node = node with get, set
    member val WakesAt = Time.never with get, set
    member val NextConnId = 2 with get, set

[<RequireQualifiedAccess; NoComparison; NoEquality>]
type private CrowdEvent =
    | ToServer of from: Endpoint * datagram: byte[]
    | ToMember of index: int * from: Endpoint * datagram: byte[]
    | Wake of index: int
    | WakeServer
    /// The visitor has what it came for, aborts its stream and is gone.
    | Depart of index: int * connId: ConnId

/// Thousands of nodes in one room of a rendezvous server, without NATs, over links that delay and do not lose. `Internet` is a model of NATs; this is
/// one of numbers. Visitors keep their stream for a while and are gone.
[<Sealed>]
type Crowd(options: RendezvousOptions, seed: uint64, meter: ICrowdMeter) =
    let delay = Time.milliseconds 20
    let keeps = Time.seconds 5
    let serverSocket = Endpoint.ofIPv4 0x01010101u 3000us

    let bytesOf (number: uint64) =
        Owned(Array.init 32 (fun index -> Keyed.byteAt (Keyed.mix (seed ^^^ number)) (int64 index)))

    let room = bytesOf 0xF00DUL

    let mutable server =
        Rendezvous.create { options with Sockets = [| serverSocket |] } (bytesOf 0x5EEDUL) 0L<us>

    let members = List<Member>()
    let schedule = Schedule<CrowdEvent>()
    let stages = Dictionary<PunchStage, int>()
    let mutable now: Instant = 0L<us>
    let mutable serverWakesAt = Time.never
    let mutable opened = 0
    let mutable toServer = 0L

    let place (at: Instant) event = schedule.Place(at, event)

    let begins () = if not (isNull (box meter)) then meter.Begin()
    let ends role datagrams = if not (isNull (box meter)) then meter.End(role, datagrams)

    let send (from: Endpoint) (remote: Endpoint) (datagram: byte[]) =
        if remote.Equals serverSocket then
            place (now + delay) (CrowdEvent.ToServer(from, datagram))
        else
            place (now + delay) (CrowdEvent.ToMember(int (remote.Low &&& 0xFFFFFFUL), from, datagram))

    let perform (it: Member) (more: List<Event>) (effect: Effect) =
        match effect with
        | Effect.SendDatagram(remote, datagram, _) -> send it.Socket remote (datagram.Span.ToArray())
        | Effect.Send(remote, train) ->
            for index in 0 .. train.Count - 1 do
                let bytes = Array.zeroCreate (train.LengthOf index)
                train.Write(index, Span<byte> bytes) |> ignore
                send it.Socket remote bytes
        | Effect.Punched(_, report) ->
            if not it.Stays then
                stages[report.Stage] <- stages.GetValueOrDefault report.Stage + 1
            elif report.Stage = PunchStage.RoomFull then
                stages[report.Stage] <- stages.GetValueOrDefault report.Stage + 1

            if report.Stage = PunchStage.Open && report.Dials then
                more.Add(Event.Connect(it.NextConnId, report.Remote, Dialect.Bep29, Time.seconds 30))
                it.NextConnId <- it.NextConnId + 2
        | Effect.Opened(connId, _)
        | Effect.Accepted(connId, _, _, _) ->
            if not it.Stays then
                opened <- opened + 1
                place (now + keeps) (CrowdEvent.Depart(it.Index, connId))
        | _ -> ()

    let step (it: Member) (events: Event[]) =
        let mutable batch = events
        let mutable going = true

        while going do
            begins ()
            let struct (next, effects) = Node.step now batch it.Node
            ends (if it.Stays then CrowdRole.Staying else CrowdRole.Visitor) batch.Length
            it.Node <- next
            let more = List<Event>()

            for effect in effects do
                perform it more effect

            batch <- more.ToArray()
            going <- batch.Length > 0

        let due = Node.deadline it.Node

        if due < it.WakesAt || it.WakesAt <= now then
            it.WakesAt <- due
            if due <> Time.never then place due (CrowdEvent.Wake it.Index)

    let stepServer (received: struct (Endpoint * Borrowed)[]) =
        begins ()
        let struct (next, sent) = Rendezvous.step now received server
        ends CrowdRole.Server received.Length
        toServer <- toServer + int64 received.Length
        server <- next

        for struct (remote, datagram) in sent do
            send serverSocket remote (datagram.Span.ToArray())

        let due = Rendezvous.deadline server

        if due < serverWakesAt || serverWakesAt <= now then
            serverWakesAt <- due
            if due <> Time.never then place due CrowdEvent.WakeServer

    let perform event =
        match event with
        | CrowdEvent.ToServer(from, datagram) -> stepServer [| struct (from, Borrowed datagram) |]
        | CrowdEvent.WakeServer -> if serverWakesAt <= now then stepServer [||]
        | CrowdEvent.ToMember(index, from, datagram) ->
            if not (isNull members[index]) then
                step members[index] [| Event.Received(from, Datagrams.One(Borrowed datagram, now)) |]
        | CrowdEvent.Wake index ->
            if not (isNull members[index]) && members[index].WakesAt <= now then
                step members[index] [||]
        | CrowdEvent.Depart(index, connId) ->
            step members[index] [| Event.Abort connId |]
            members[index] <- null

    member _.Now = now
    member _.Server = server
    member _.Statistics = Rendezvous.statistics server
    /// Datagrams that the server has received.
    member _.ToServer = toServer
    /// Visitors that have a stream.
    member _.Opened = opened
    /// How many visitors have that result, or nodes that stay that were refused.
    member _.Count(stage: PunchStage) = stages.GetValueOrDefault stage
    member _.Node(index: int) = members[index].Node

    /// A node enters the room. Its number.
    member _.Enter(stays: bool) : int =
        let index = members.Count

        let it = Member(index, stays, Node.create NodeOptions.standard (bytesOf (uint64 (index + 1) <<< 8)) now)

        members.Add it

        let plan =
            { PunchScenario.planOf [| serverSocket |] room [||] with
                Stays = stays
                Timeout = (if stays then Time.never else Time.seconds 60) }

        step it [| Event.Meet(1, plan) |]
        index

    member _.RunUntil(limit: Instant) =
        let performAt at event =
            now <- max now at
            perform event

        schedule.Run(limit, performAt)
        now <- limit

    /// Lets a number of nodes enter, at a rate a second.
    member this.EnterAll(count: int, perSecond: int, stays: bool) =
        for _ in 1..count do
            this.RunUntil(now + 1_000_000L<us> / int64 perSecond)
            this.Enter stays |> ignore
