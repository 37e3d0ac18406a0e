namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Two hosts, the paths between them, and a clock that advances from event to event. Every property that can be checked during the run
/// is checked after every event; the first violation ends the run with a `Violation`. The applications follow the flows of the
/// scenario (`Applications`), or a test acts in their place (`TwoNodes`).
[<Sealed>]
type World(scenario: Scenario, machines: IMachine[], watcher: IWatcher) as this =
    let queue = PriorityQueue<Item, struct (int64 * uint64)>(Earliest())
    let mutable now = 0L<us>
    let mutable placed = 0UL
    let mutable number = 0L
    let mutable events = 0L
    let mutable hash = 0xCBF29CE484222325UL
    let mutable shape = 0xCBF29CE484222325UL
    let dialect = Scenario.dialectOf scenario
    let marks = Marks()

    let optionsOf (machine: IMachine) host =
        match machine with
        | :? CoreMachine as core -> core.Options
        | _ -> Scenario.optionsOf scenario host

    let actors =
        [| for index, host, address, port in [ 0, scenario.A, 0x0A000001u, 5000us; 1, scenario.B, 0x0A000002u, 6000us ] ->
               let machine = machines[index]
               Actor(index, host, optionsOf machine host, Endpoint.ofIPv4 address port, machine) |]

    let inspector = Inspector(scenario, actors, marks)

    let place (at: Instant) item =
        placed <- placed + 1UL
        let tie = if scenario.PermuteTies then Keyed.bits scenario.Seed 50 (int64 placed) else placed
        queue.Enqueue(item, struct (int64 at, tie))

    let ways =
        [| for from in actors ->
               { new ICarrierHost with
                   member _.Arrive(at, datagram, waited, copy) = this.Travel(from, at, datagram, waited, copy)
                   member _.Lost(datagram, cause) = this.Lose(from, datagram, cause)
                   member _.DepartAt at = this.DepartAt(from, at) } |]

    let carriers =
        [| Carrier(scenario.AB, Keyed.mix (scenario.Seed + 11UL), scenario.HealAt, ways[0])
           Carrier(scenario.BA, Keyed.mix (scenario.Seed + 12UL), scenario.HealAt, ways[1]) |]

    let digest (value: uint64) = hash <- (hash ^^^ value) * 0x9E3779B97F4A7C15UL ^^^ (hash >>> 31)

    let watch = isNull (box watcher) |> not

    member _.Scenario = scenario
    member _.Now = now
    member _.Actors = actors
    /// The applications, to be set before the first step.
    member val Applications: IApplications = null with get, set
    /// The carriers from A to B and from B to A.
    member _.Carriers = carriers
    member _.Marks = marks
    /// Called for every datagram from one host to the other; false drops it.
    member val Filter: Func<Actor, Datagram, bool> = null with get, set
    /// Whether input buffers stay as they are. Set it to repeat earlier steps, which read the buffers that they were lent.
    member val KeepsBuffers = false with get, set
    /// All operations of the machines: steps, datagrams sent, and their fates.
    member _.Events = events
    /// A hash of all packets and their times: equal for equal scenarios.
    member _.Hash = hash
    /// The same without ids, first numbers and clocks.
    member _.Shape = shape

    // ---- The network ----

    member internal _.Travel(from: Actor, at: Instant, datagram: Datagram, waited: Duration, copy: int) =
        if watch then watcher.Delivered(now, from, datagram, at, waited, copy)

        if copy > 0 then marks.Hit "duplicated"

        place at (Item.Arrive(actors[1 - from.Index], datagram, false))

    member internal this.Lose(from: Actor, datagram: Datagram, cause: string) =
        events <- events + 1L

        if cause = "mtu" then this.TellFromAfar(from, datagram)

        inspector.Lost(from, datagram, cause, now)

        if watch then watcher.Lost(now, from, datagram, cause)

    /// Whether a router reports a datagram that is too long.
    member private _.TellFromAfar(from: Actor, datagram: Datagram) =
        let path = carriers[from.Index].Path

        match Path.tooLong now datagram.Bytes.Length datagram.MayFragment path with
        | Some narrow when narrow.Telling = Telling.Router ->
            place (now + path.Delay) (Item.Hint(from, datagram.To, datagram.Bytes.Length, narrow.Size))
        | _ -> ()

    member internal _.DepartAt(from: Actor, at: Instant) = place at (Item.Depart carriers[from.Index])

    member private this.Emit(actor: Actor, remote: Endpoint, bytes: byte[], mayFragment: bool, isAlone: bool) =
        number <- number + 1L
        events <- events + 1L
        actor.Sent <- actor.Sent + 1L
        let datagram = Datagram(number, actor.Endpoint, remote, bytes, now, MayFragment = mayFragment)
        let path = carriers[actor.Index].Path

        if not (remote.Equals actors[1 - actor.Index].Endpoint) then
            actor.StrangeOut <- actor.StrangeOut + int64 bytes.Length

            if watch then watcher.Lost(now, actor, datagram, "nobody")
        else
            let passes = isNull this.Filter || this.Filter.Invoke(actor, datagram)

            let refuses =
                now < scenario.HealAt
                && actor.Host.Socket.Refusals > 0
                && Keyed.below 1000 scenario.Seed (60 + actor.Index) number < actor.Host.Socket.Refusals

            let isTooLong =
                match Path.tooLong now bytes.Length mayFragment path with
                | Some narrow -> narrow.Telling = Telling.System
                | None -> false

            if refuses then
                this.Lose(actor, datagram, "refused")
            elif isTooLong then
                this.Lose(actor, datagram, "emsgsize")
                place now (Item.Hint(actor, remote, bytes.Length, 0))
            elif not isAlone && List.contains Drop.Trains path.Drops then
                this.Lose(actor, datagram, "train")
            elif not passes then
                this.Lose(actor, datagram, "filter")
            else
                carriers[actor.Index].Offer(now, datagram)

            this.Forge(actor, datagram)

    /// An attacker that sees a packet and sends a similar one.
    member private _.Forge(actor: Actor, datagram: Datagram) =
        let forgery = scenario.Forgery

        if forgery.Strange + forgery.Spoofed + forgery.Hints > 0 && now < scenario.HealAt then
            let chance = Keyed.below 1000 scenario.Seed 70 number
            let at = now + Time.microseconds (int64 (Keyed.below 300_000 scenario.Seed 71 number))
            let target = actors[1 - actor.Index]

            let from, bytes =
                if chance < forgery.Strange then
                    Endpoint.ofIPv4 0x0A0000FFu 777us, Array.copy datagram.Bytes
                elif chance < forgery.Strange + forgery.Spoofed then
                    actor.Endpoint,
                    Forged.spoil dialect target.IsOwnId (Keyed.bits scenario.Seed 72 number) datagram.Bytes
                else
                    actor.Endpoint, null

            // An attacker who has seen a packet can report that it was too long.
            if Keyed.below 1000 scenario.Seed 73 number < forgery.Hints then
                let limit = Keyed.below 70_000 scenario.Seed 74 number
                let limit = if limit < 10_000 then limit / 10 else limit &&& 2047
                place at (Item.Hint(actor, target.Endpoint, datagram.Bytes.Length, limit))

            if not (isNull bytes) then
                place at (Item.Arrive(target, Datagram(-number, from, target.Endpoint, bytes, now), true))

    // ---- Steps ----

    member private _.Schedule(actor: Actor) =
        let deadline = actor.Machine.Deadline

        if deadline <> Time.never then
            let clock = actor.Host.Clock
            let due = Scenario.whenLocal clock now deadline

            let late =
                if clock.Late = 0L<us> then
                    0L<us>
                else
                    Time.microseconds (
                        Keyed.bits scenario.Seed 80 (int64 due) % uint64 (int64 clock.Late + 1L) |> int64
                    )

            let granularity = max 1L<us> clock.Granularity
            let at = max now ((due + late + granularity - 1L<us>) / granularity * granularity)

            if at < actor.TimerAt || actor.TimerAt <= now then
                actor.TimerAt <- at
                place at (Item.Timer actor)

    /// Processes effects that concern streams, before packets are checked: which streams exist, and how strictly they can be checked.
    member private this.Register(actor: Actor, effects: Effect[]) =
        for effect in effects do
            match effect with
            | Effect.Noted(rule, remote) -> inspector.Note(actor, rule, remote)
            | Effect.Opened(connId, id) ->
                inspector.Open(actor, connId, id, true)
                this.Applications.Begin(actor, effect)
            | Effect.Accepted(connId, remote, id, _) ->
                if remote.Equals actors[1 - actor.Index].Endpoint then
                    inspector.Open(actor, connId, id, false)

                this.Applications.Begin(actor, effect)
            | _ -> ()

    member private this.Transmit(actor: Actor, effect: Effect) =
        match effect with
        | Effect.Send(remote, train) ->
            let header = train.Header
            let isAlone = train.Count = 1 || now < actor.AloneUntil

            for index in 0 .. train.Count - 1 do
                let length = train.LengthOf index
                let bytes = GC.AllocateUninitializedArray<byte> length

                if train.Write(index, Span<byte> bytes) <> length then
                    Check.fail "S9" $"{actor.Name}: a packet of {length} bytes was encoded to fewer bytes"

                let relative = inspector.Sent(actor, remote, train, index, bytes)
                shape <- (shape ^^^ relative) * 0x9E3779B97F4A7C15UL ^^^ uint64 now
                let seqNr = header.SeqNr + index
                digest (uint64 now ^^^ (uint64 actor.Index <<< 60))
                digest (uint64 seqNr.Value ||| (uint64 header.AckNr.Value <<< 16) ||| (uint64 header.Timestamp <<< 32))

                digest (
                    uint64 header.ConnectionId ||| (uint64 length <<< 16) ||| (uint64 header.TimestampDifference <<< 32)
                )

                this.Emit(actor, remote, bytes, train.MayFragment, isAlone)
        | Effect.SendAlone(_, duration) -> actor.AloneUntil <- now + duration
        | _ -> ()

    /// One step of a host, with all checks.
    member this.Step(actor: Actor, [<ParamArray>] batch: Event[]) = this.Step(actor, batch, [||])

    /// `numbers` are those of the datagrams among the events.
    member private this.Step(actor: Actor, batch: Event[], numbers: int64[]) =
        events <- events + 1L
        let local = Scenario.local actor.Host.Clock now
        actor.Now <- max actor.Now local

        let effects =
            try
                actor.Machine.Step(local, batch)
            with error ->
                if watch then watcher.Threw(actor, now, local, batch, numbers, error)

                reraise ()

        let firstOut = number + 1L

        if watch then watcher.Step(actor, now, local, batch, numbers, effects, firstOut)

        if effects.Length > 0 then this.Register(actor, effects)

        inspector.Given(actor, batch)

        for effect in effects do
            this.Transmit(actor, effect)

        for effect in effects do
            this.Applications.Tell(actor, effect)

        inspector.Stepped(actor, local, batch, effects)

        if actor.Machine.Deadline <= local then
            Check.fail
                "S12"
                $"{actor.Name}: after the step at {int64 local} it wants to wake at {int64 actor.Machine.Deadline}"

        if events &&& 63L = 0L then Purity.check actor local batch effects

        if not this.KeepsBuffers then actor.Lent.Stepped(batch, effects)

        this.Schedule actor
        this.Applications.Stepped actor

    /// A forged packet, in a step of its own: it must change nothing (S10).
    member private this.StepForged(actor: Actor, datagram: Datagram) =
        let local = Scenario.local actor.Host.Clock now
        marks.Hit "forged"
        this.Step actor // What is due without it.
        let before = inspector.Streams actor
        let forged = Event.Received(datagram.From, Datagrams.One(Borrowed(Array.copy datagram.Bytes), local))
        inspector.Forging <- true
        this.Step(actor, [| forged |], [| datagram.Number |])
        inspector.Forging <- false
        inspector.Unchanged(actor, before)

    // ---- The loop ----

    member private this.Poll(actor: Actor) =
        let frozen = actor.FrozenUntil now
        actor.PollAt <- Time.never

        if now < frozen then
            actor.PollAt <- frozen
            place frozen (Item.Poll actor)
        elif actor.Inbox.Count > 0 then
            let local = Scenario.local actor.Host.Clock now
            let count = min actor.Inbox.Count (max 1 actor.Host.Socket.Batch)
            let datagrams = Array.zeroCreate<Datagram> count
            let numbers = Array.zeroCreate<int64> count

            for index in 0 .. count - 1 do
                let datagram = actor.Inbox.Dequeue()
                datagrams[index] <- datagram
                numbers[index] <- datagram.Number
                actor.InboxBytes <- actor.InboxBytes - datagram.Bytes.Length

            this.Step(actor, Reception.events datagrams local, numbers)

            if actor.Inbox.Count > 0 then
                actor.PollAt <- now
                place now (Item.Poll actor)

    member private this.Arrive(actor: Actor, datagram: Datagram, forged: bool) =
        let other = actors[1 - actor.Index]

        if not (datagram.From.Equals other.Endpoint) then
            actor.StrangeIn <- actor.StrangeIn + int64 datagram.Bytes.Length

        if actor.IsGone then
            this.Lose(other, datagram, "gone")

            if actor.Refuses && not other.IsGone then
                let quoted = Owned(Array.truncate Packet.HeaderLength datagram.Bytes)
                this.Step(other, Event.PortUnreachable(actor.Endpoint, quoted))
        elif forged then
            this.StepForged(actor, datagram)
        elif actor.InboxBytes + datagram.Bytes.Length > actor.Host.Socket.ReceiveBuffer then
            this.Lose(other, datagram, "socket")
        else
            actor.Inbox.Enqueue datagram
            actor.InboxBytes <- actor.InboxBytes + datagram.Bytes.Length

            if actor.PollAt = Time.never then
                let at = max (now + actor.Host.Socket.Wake) (actor.FrozenUntil now)

                let isAlone =
                    match queue.TryPeek() with
                    | true, _, struct (next, _) -> next > int64 now
                    | _ -> true

                if at = now && isAlone then
                    this.Poll actor
                else
                    actor.PollAt <- at
                    place at (Item.Poll actor)

    /// The system, a router or an attacker reports that a datagram was too long.
    member private this.Hint(actor: Actor, remote: Endpoint, size: int, limit: int) =
        let frozen = actor.FrozenUntil now

        if now < frozen then
            place frozen (Item.Hint(actor, remote, size, limit))
        else
            marks.Hit "hint"
            this.Step(actor, Event.TooLong(remote, size, limit))

    /// Runs an action at that instant.
    member _.At(at: Instant, action: unit -> unit) = place at (Item.Call action)

    /// A datagram arrives now, from any address, without faults. From then on, the packets of streams are not checked.
    member _.Inject(target: Actor, from: Endpoint, bytes: byte[]) =
        inspector.Distrust()
        place now (Item.Arrive(target, Datagram(0L, from, target.Endpoint, bytes, now), false))

    /// Advances to the next event; false when there is none, or none until `limit`.
    member this.Advance(limit: Instant) =
        match queue.TryPeek() with
        | true, item, struct (at, _) when at <= int64 limit ->
            queue.Dequeue() |> ignore
            now <- Time.microseconds at

            match item with
            | Item.Arrive(actor, datagram, forged) -> this.Arrive(actor, datagram, forged)
            | Item.Poll actor -> if actor.PollAt <= now && not actor.IsGone then this.Poll actor
            | Item.Timer actor ->
                if actor.TimerAt = now && not actor.IsGone then
                    let frozen = actor.FrozenUntil now

                    if now < frozen then
                        actor.TimerAt <- frozen
                        place frozen (Item.Timer actor)
                    else
                        actor.TimerAt <- Time.never

                        if Scenario.local actor.Host.Clock now >= actor.Machine.Deadline then
                            this.Step actor
                        else
                            this.Schedule actor
            | Item.Depart carrier -> carrier.Depart now
            | Item.Call action -> action ()
            | Item.Hint(actor, remote, size, limit) -> this.Hint(actor, remote, size, limit)

            true
        | _ -> false
