namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// The applications of a world: their streams, and the results.
[<Sealed>]
type Applications(scenario: Scenario, marks: Marks, wake: Action<Actor, App, Instant>) =
    let dialect = Scenario.dialectOf scenario
    let isTrusted = not (Expectation.isUnprotected scenario)
    let apps = ResizeArray<App>()

    member _.All = apps
    /// Connects that failed, by flow, with the reason.
    member val Failed = Dictionary<int, CloseReason>() with get
    /// Streams that were dialled and opened, and ends that have not closed.
    member val Opened = 0 with get, set
    member val Open = 0 with get, set

    /// A stream has opened: its application begins.
    member this.Start(actor: Actor, connId: ConnId, flow: int, plan: Plan, isDialler: bool, now: Instant) =
        let ledgers = this.LedgersOf(flow, Content.keyOf scenario.Seed flow)
        let writes, reads = if isDialler then ledgers else (let a, b = ledgers in b, a)

        let app =
            App(
                $"{actor.Name} stream {connId}",
                connId,
                flow,
                plan,
                writes,
                reads,
                (Scenario.optionsOf scenario actor.Host |> NodeOptions.forDialect dialect).SendBuffer
            )

        actor.Apps[connId] <- app
        apps.Add app
        this.Open <- this.Open + 1

        if isDialler then this.Opened <- this.Opened + 1

        wake.Invoke(actor, app, now)

    member val private Ledgers = Dictionary<int, Ledger * Ledger>() with get

    member private this.LedgersOf(flow: int, key: int -> uint64) =
        match this.Ledgers.TryGetValue flow with
        | true, pair -> pair
        | _ ->
            let pair = Ledger(key 1, isTrusted), Ledger(key 2, isTrusted)
            this.Ledgers[flow] <- pair
            pair

    /// The state of a stream in the core.
    member this.Tell(actor: Actor, effect: Effect, now: Instant) =
        let app connId : App = actor.Apps.GetValueOrDefault connId

        match effect with
        | Effect.Deliver(connId, payload) ->
            let app = app connId

            if isNull app || app.Closed.IsSome then
                Check.fail "S14" $"{actor.Name}: bytes for stream {connId}, which has closed"

            app.Reads.Deliver(app.Name, payload)
            app.Take payload

            if app.ReadAt <> Time.never then wake.Invoke(actor, app, max now app.ReadAt)
        | Effect.Writable(connId, room) ->
            let app = app connId

            if not (isNull app) then
                if app.Room = 0 then marks.Hit "send buffer full"

                app.Room <- room
                wake.Invoke(actor, app, now)
        | Effect.Ended connId ->
            let app = app connId
            app.Ended <- true

            if not app.Released then app.Reads.End app.Name

            wake.Invoke(actor, app, now)
        | Effect.Finished connId -> (app connId).Finished <- true
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
                app.ClosedAt <- now
                this.Open <- this.Open - 1
        | Effect.PacketSized _
        | Effect.Foreign _
        | Effect.Accepted _
        | Effect.Opened _
        | Effect.Send _
        | Effect.SendDatagram _
        | Effect.OpenSockets _
        | Effect.CloseSockets _
        | Effect.Registered _
        | Effect.Introduced _
        | Effect.Punched _
        | Effect.Discovered _
        | Effect.Noted _ -> ()
