namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// What the store that the instances share does to their requests, by chance.
[<NoComparison>]
type StoreFaults =
    {
        /// The most that a request or an answer takes; the least is a millisecond. So they also overtake each other.
        MaxDelay: Duration
        /// Of 1000 requests or answers.
        Lost: int
    }

/// A peer of a room, which asks the instances in an order of its own.
[<Sealed>]
type InstancePeer internal (index: int, room: int, node: Node) =
    member _.Index = index
    member _.Room = room
    member _.Socket = Endpoint.ofIPv4 (0x0A000000u + uint32 index) 4000us
    member val EnteredAt = 0L<us> with get, set
    /// When it was killed.
    member val GoneAt = Time.never with get, set
    member val Result: PunchReport voption = ValueNone with get, set
    member val ResultAt = Time.never with get, set
    /// To whom it was introduced, and when.
    member val Introduced = List<struct (Endpoint * Instant)>()
    /// Until when nothing reaches it, and nothing of it arrives.
    member val CutUntil = 0L<us> with get, set
    member val internal Node = node with get, set
    member val internal WakesAt = Time.never with get, set

[<RequireQualifiedAccess; NoComparison; NoEquality>]
type private InstanceEvent =
    | Datagram of from: Endpoint * target: Endpoint * bytes: byte[]
    | Wake of peer: int
    | WakeInstance of instance: int
    | Asked of instance: int * epoch: int * request: StoreRequest
    | Answered of instance: int * epoch: int * answer: StoreEvent
    | Planned of action: (unit -> unit)

/// Several instances of a rendezvous that share their rooms through a store which delays, reorders and loses; peers of one room may be registered at
/// different ones. Instances can be killed, and the store can go and come back without what it knew.
[<Sealed>]
type Instances(seed: uint64, count: int, faults: StoreFaults) =
    let delay = Time.milliseconds 20
    let schedule = Schedule<InstanceEvent>()
    let peers = List<InstancePeer>()
    let rooms = Dictionary<string, List<struct (RoomMember * bool * Instant)>>()

    let sockets = [| for index in 0 .. count - 1 -> Endpoint.ofIPv4 (0x01010101u + uint32 index) 3000us |]

    let bytesOf (number: uint64) =
        Owned(Array.init 32 (fun index -> Keyed.byteAt (Keyed.mix (seed ^^^ number)) (int64 index)))

    let options index = { Rendezvous.standard with Sockets = [| sockets[index] |]; RatePerSource = 10_000 }

    let servers =
        [| for index in 0 .. count - 1 ->
               ValueSome(
                   Rendezvous.createShared
                       (uint64 index + 1UL)
                       (options index)
                       (bytesOf (0xAA00UL + uint64 index))
                       0L<us>
               ) |]

    let wakes = Array.create count Time.never
    let mutable now: Instant = 0L<us>
    let mutable drawn = 0L
    // Requests and answers of before an interruption of the store are lost.
    let mutable epoch = 0
    let mutable storeIsUp = true

    let place (at: Instant) event = schedule.Place(at, event)

    let draw (below: int64) =
        drawn <- drawn + 1L
        int64 (Keyed.mix (seed ^^^ Keyed.mix (uint64 drawn)) % uint64 (max 1L below))

    /// At a time by chance, or never.
    let placeByStore event =
        if draw 1000L >= int64 faults.Lost then
            place (now + Time.milliseconds 1 + draw (int64 faults.MaxDelay) * 1L<us>) event

    let send (from: Endpoint) (target: Endpoint) bytes =
        place (now + delay) (InstanceEvent.Datagram(from, Endpoint.via 0us target, bytes))

    let isCut (socket: Endpoint) = peers.Exists(fun it -> it.Socket.Equals socket && now < it.CutUntil)

    let instanceAt (socket: Endpoint) = Array.FindIndex(sockets, (fun it -> it.Equals socket))

    // ---- Peers ----

    let step (peer: InstancePeer) events =
        if peer.GoneAt = Time.never then
            let struct (next, effects) = Node.step now events peer.Node
            peer.Node <- next

            for effect in effects do
                match effect with
                | Effect.SendDatagram(remote, datagram, _) -> send peer.Socket remote (datagram.Span.ToArray())
                | Effect.Introduced(_, other) -> peer.Introduced.Add(struct (other, now))
                | Effect.Punched(_, report) when peer.Result.IsNone ->
                    peer.Result <- ValueSome report
                    peer.ResultAt <- now
                | _ -> ()

            let due = Node.deadline peer.Node

            if due < peer.WakesAt || peer.WakesAt <= now then
                peer.WakesAt <- due
                if due <> Time.never then place due (InstanceEvent.Wake peer.Index)

    // ---- Instances ----

    let stepInstance index received news =
        match servers[index] with
        | ValueSome server ->
            let struct (next, sent, requests) = Rendezvous.stepShared now received news server
            servers[index] <- ValueSome next

            for struct (remote, datagram) in sent do
                send sockets[index] remote (datagram.Span.ToArray())

            for request in requests do
                placeByStore (InstanceEvent.Asked(index, epoch, request))

            let due = Rendezvous.deadline next

            if due < wakes[index] || wakes[index] <= now then
                wakes[index] <- due
                if due <> Time.never then place due (InstanceEvent.WakeInstance index)
        | ValueNone -> ()

    // ---- Store ----

    let roomOf (room: Owned) =
        let name = Convert.ToHexString room.Span

        match rooms.TryGetValue name with
        | true, members -> members
        | _ ->
            let members = List()
            rooms[name] <- members
            members

    let asked instance request =
        let nameOf index = uint64 index + 1UL

        match request with
        | StoreRequest.Share(room, number, stays, lifetime) ->
            let members = roomOf room
            let own = { Instance = nameOf instance; Number = number }
            members.RemoveAll(fun (struct (it, _, until)) -> until <= now || it.Equals own) |> ignore

            let others =
                [| for struct (it, itStays, _) in Seq.rev members do
                       if it.Instance <> own.Instance && not (stays && itStays) then it |]

            members.Add(struct (own, stays, now + lifetime))

            if others.Length > 0 then
                placeByStore (
                    InstanceEvent.Answered(instance, epoch, StoreEvent.Members(number, Array.truncate 16 others))
                )
        | StoreRequest.Unshare(room, number) ->
            let own = { Instance = nameOf instance; Number = number }
            (roomOf room).RemoveAll(fun (struct (it, _, _)) -> it.Equals own) |> ignore
        | StoreRequest.Send(target, message) ->
            let index = int target - 1

            if index >= 0 && index < count && servers[index].IsSome then
                placeByStore (
                    InstanceEvent.Answered(index, epoch, StoreEvent.Told(nameOf instance, message.AsBorrowed))
                )
            else
                placeByStore (InstanceEvent.Answered(instance, epoch, StoreEvent.Undelivered message.AsBorrowed))

    let perform event =
        match event with
        | InstanceEvent.Datagram(from, target, _) when isCut from || isCut target -> ()
        | InstanceEvent.Datagram(from, target, bytes) ->
            match instanceAt target with
            | -1 ->
                let index = int (target.Low &&& 0xFFFFFFUL)

                if index < peers.Count then
                    step peers[index] [| Event.Received(from, Datagrams.One(Borrowed bytes, now)) |]
            | index -> stepInstance index [| struct (from, Borrowed bytes) |] [||]
        | InstanceEvent.Wake peer -> if peers[peer].WakesAt <= now then step peers[peer] [||]
        | InstanceEvent.WakeInstance index -> if wakes[index] <= now then stepInstance index [||] [||]
        | InstanceEvent.Asked(instance, at, request) -> if storeIsUp && at = epoch then asked instance request
        | InstanceEvent.Answered(instance, at, answer) ->
            if storeIsUp && at = epoch then stepInstance instance [||] [| answer |]
        | InstanceEvent.Planned action -> action ()

    member _.Now = now
    member _.Peers = peers
    member _.ServerOf(index: int) = servers[index]

    /// Does something at a time.
    member _.At(time: Instant, action: unit -> unit) = place time (InstanceEvent.Planned action)

    /// A peer enters a room. It asks the instance `first` first, and then those after it.
    member _.Enter(room: int, first: int) : InstancePeer =
        let index = peers.Count

        let peer =
            InstancePeer(index, room, Node.create NodeOptions.standard (bytesOf (uint64 (index + 1) <<< 20)) now)

        peers.Add peer
        peer.EnteredAt <- now
        let asks = Array.init count (fun index -> sockets[(first + index) % count])

        let plan =
            { PunchScenario.planOf asks (bytesOf (0xBB0000UL + uint64 room)) [||] with
                Timeout = Time.seconds 60
                Reports = true }

        step peer [| Event.Meet(1, plan) |]
        peer

    member _.Kill(peer: InstancePeer) = peer.GoneAt <- now

    /// The network of a peer is away for a time.
    member _.Cut(peer: InstancePeer, duration: Duration) = peer.CutUntil <- now + duration

    member _.KillInstance(index: int) = servers[index] <- ValueNone

    member _.StopStore() =
        storeIsUp <- false
        epoch <- epoch + 1
        rooms.Clear()

    member _.StartStore() =
        storeIsUp <- true

        for index in 0 .. count - 1 do
            stepInstance index [||] [| StoreEvent.Restored |]

    /// Tells an instance something that no instance has said.
    member _.Forge(index: int, event: StoreEvent) = stepInstance index [||] [| event |]

    member _.RunUntil(limit: Instant) =
        let performAt at event =
            now <- max now at
            perform event

        schedule.Run(limit, performAt)
        now <- limit
