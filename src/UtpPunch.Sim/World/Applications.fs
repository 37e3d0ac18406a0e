namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

module private Purposes =
    /// What `Keyed` draws for: whether applications decide about peers, and how long they take for each.
    let selective = 95
    let decision = 96

/// The applications of a world that follow the plans of its scenario: their streams, and the results.
[<Sealed>]
type Applications(world: World) as this =
    let scenario = world.Scenario
    let dialect = Scenario.dialectOf scenario
    let isTrusted = not (Expectation.isUnprotected scenario)
    let flows = List.toArray scenario.Flows
    let apps = ResizeArray<App>()
    let marks = world.Marks

    let rec wake (actor: Actor) (app: App) (at: Instant) =
        if at < app.WakeAt then
            app.WakeAt <- at
            world.At(at, (fun () -> if app.WakeAt = world.Now then act actor app))

    and act actor app =
        app.WakeAt <- Time.never
        let frozen = actor.FrozenUntil world.Now

        if world.Now < frozen then
            wake actor app frozen
        else
            let told = ResizeArray<Event>()
            app.Act(world.Now, told)

            if told.Count > 0 then world.Step(actor, told.ToArray())

            let next = app.NextAt world.Now

            if next <> Time.never then wake actor app next

    let dial (flow: int) =
        let from = world.Actors[if flows[flow].FromB then 1 else 0]
        let connId = from.NextConnId
        from.NextConnId <- connId + 2
        from.Dialled[connId] <- flow
        world.Step(from, Event.Connect(connId, world.Actors[1 - from.Index].Endpoint, dialect, Time.seconds 120))

    /// An application decides at once, or after a while.
    let rec decide (actor: Actor) connId () =
        let frozen = actor.FrozenUntil world.Now

        if world.Now < frozen then
            world.At(frozen, decide actor connId)
        else
            world.Step(actor, Event.Decided(connId, true))

    do world.Applications <- this

    member _.All = apps
    member _.Flows = flows
    /// Connects that failed, by flow, with the reason.
    member val Failed = Dictionary<int, CloseReason>() with get
    /// Streams that were dialled and opened, and ends that have not closed.
    member val Opened = 0 with get, set
    member val Open = 0 with get, set

    /// Whether every flow has opened and closed, or failed.
    member this.AreDone = this.Open = 0 && this.Opened + this.Failed.Count = flows.Length

    /// Lets both hosts listen, and dial at the times of the flows. In some worlds the applications decide about each peer.
    member _.Start() =
        let isSelective = Keyed.below 4 scenario.Seed Purposes.selective 0L = 0

        for actor in world.Actors do
            world.Step(actor, (if isSelective then Event.ListenSelectively 1024 else Event.Listen 1024))

        for index in 0 .. flows.Length - 1 do
            world.At(flows[index].At, (fun () -> dial index))

    /// All applications stop: streams that are still open are aborted.
    member _.CloseAll() =
        for actor in world.Actors do
            let open' =
                [| for app in actor.Apps.Values do
                       if app.Closed.IsNone then Event.Abort app.ConnId |]

            world.Step(actor, Array.append open' [| Event.Unlisten |])

    /// A stream has opened: its application begins.
    member private this.Start(actor: Actor, connId: ConnId, flow: int, isDialler: bool) =
        let ledgers = this.LedgersOf(flow, Content.keyOf scenario.Seed flow)
        let writes, reads = if isDialler then ledgers else (let a, b = ledgers in b, a)
        let plan = if isDialler then flows[flow].Dialler else flows[flow].Acceptor
        let room = (NodeOptions.forDialect dialect actor.Options).SendBuffer
        let app = App($"{actor.Name} stream {connId}", connId, flow, plan, writes, reads, room)
        actor.Apps[connId] <- app
        apps.Add app
        this.Open <- this.Open + 1

        if isDialler then this.Opened <- this.Opened + 1

        wake actor app world.Now

    member val private Ledgers = Dictionary<int, Ledger * Ledger>() with get

    member private this.LedgersOf(flow: int, key: int -> uint64) =
        match this.Ledgers.TryGetValue flow with
        | true, pair -> pair
        | _ ->
            let pair = Ledger(key 1, isTrusted), Ledger(key 2, isTrusted)
            this.Ledgers[flow] <- pair
            pair

    /// The state of a stream in the core.
    member private this.Tell(actor: Actor, effect: Effect) =
        let app connId : App = actor.Apps.GetValueOrDefault connId

        match effect with
        | Effect.Deliver(connId, payload) ->
            let app = app connId

            if isNull app || app.Closed.IsSome then
                Check.fail "S14" $"{actor.Name}: bytes for stream {connId}, which has closed"

            app.Reads.Deliver(app.Name, payload)
            app.Take payload

            if app.ReadAt <> Time.never then wake actor app (max world.Now app.ReadAt)
        | Effect.Writable(connId, room, _) ->
            let app = app connId

            if not (isNull app) then
                if app.Room = 0 then marks.Hit "send buffer full"

                app.Room <- room
                wake actor app world.Now
        | Effect.Ended connId ->
            let app = app connId
            app.Ended <- true

            if not app.Released then app.Reads.End app.Name

            wake actor app world.Now
        | Effect.Finished connId -> (app connId).Finished <- true
        | Effect.Asked(connId, _) ->
            marks.Hit "application asked"
            let pause = Time.milliseconds (10 * Keyed.below 3 scenario.Seed Purposes.decision (int64 connId))
            world.At(world.Now + pause, decide actor connId)
        | Effect.ResetWithCode(connId, code) ->
            marks.Hit "reset with an error code"
            let app = app connId
            let isPeers (other: App) = other.Flow = app.Flow && not (Object.ReferenceEquals(other, app))

            if isTrusted && not (apps.Exists(fun it -> isPeers it && it.Aborts && it.ErrorCode = code)) then
                Check.fail "S32" $"{app.Name}: the error code {code} is not the peer's"
        | Effect.Closed(connId, reason) ->

            match actor.ByConnId.TryGetValue connId with
            | true, tap ->
                if tap.Closed then Check.fail "S14" $"{actor.Name}: stream {connId} closed twice"
                tap.Closed <- true

                if reason <> CloseReason.Finished then actor.Forget tap
            | _ -> ()

            let app = app connId

            if isNull app then
                marks.Hit("connect failed: " + TraceNames.reasons.Name reason)
                this.Failed.Add(actor.Dialled[connId], reason)
            else
                marks.Hit("closed: " + TraceNames.reasons.Name reason)
                app.Closed <- ValueSome reason
                app.ClosedAt <- world.Now
                this.Open <- this.Open - 1
        | Effect.PacketSized _
        | Effect.PathChanged _
        | Effect.PathLost _
        | Effect.Foreign _
        | Effect.Accepted _
        | Effect.Opened _
        | Effect.Send _
        | Effect.SendDatagram _
        | Effect.OpenSockets _
        | Effect.CloseSockets _
        | Effect.SendAlone _
        | Effect.ServerSilent _
        | Effect.Registered _
        | Effect.Introduced _
        | Effect.Punched _
        | Effect.Discovered _
        | Effect.Noted _ -> ()

    interface IApplications with
        member this.Begin(actor, effect) =
            match effect with
            | Effect.Opened(connId, id) ->
                let flow = actor.Dialled[connId]
                actor.Opened[id] <- flow
                this.Start(actor, connId, flow, true)
            | Effect.Accepted(connId, remote, id, _) ->
                let peer = world.Actors[1 - actor.Index]
                let dialled = if dialect = Dialect.Bep29 then id - 1us else id + 1us

                match peer.Opened.TryGetValue dialled with
                | true, flow when remote.Equals peer.Endpoint -> this.Start(actor, connId, flow, false)
                | _ -> Check.fail "S15" $"{actor.Name} accepted a stream with the id {id} that no peer opened"
            | _ -> ()

        member this.Tell(actor, effect) = this.Tell(actor, effect)
        member _.Stepped _ = ()
