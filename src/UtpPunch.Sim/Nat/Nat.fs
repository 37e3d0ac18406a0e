namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

/// A mapping from an inside endpoint to an outside port.
[<Sealed; AllowNullLiteral>]
type private Mapping(inside: Endpoint, outside: Endpoint) =
    member _.Inside = inside
    member _.Outside = outside
    member val Expires: Instant = 0L<us> with get, set

/// A session (flow). `Seen` is the remote endpoint as the inside host sees it. Sessions of the NAT itself have no inside endpoint.
[<Sealed; AllowNullLiteral>]
type private Session
    (inside: Endpoint voption, seen: Endpoint, outside: Endpoint, remote: Endpoint, began: Instant, beganInside: bool) =
    member _.BeganInside = beganInside
    member _.Inside = inside
    member _.Seen = seen
    member _.Outside = outside
    member _.Remote = remote
    member _.Began = began
    member val IsReplied = false with get, set
    member val Expires: Instant = 0L<us> with get, set

module private Purpose =
    let drawnPort = 1
    let hashedPort = 2
    let fallbackPort = 3
    let shownPort = 4
    let firstInTurn = 5

[<Sealed>]
type Nat(model: NatModel, address: Endpoint, seed: uint64) =
    let mutable outside = { address with Port = 0us }
    /// Mappings by inside endpoint and key of the remote endpoint, and by outside port.
    let mappings = Dictionary<struct (Endpoint * Endpoint), Mapping>()
    let byPort = Dictionary<uint16, Mapping>()
    /// Sessions by inside endpoint and remote, and by outside endpoint and remote.
    let fromInside = Dictionary<struct (Endpoint * Endpoint), Session>()
    let fromOutside = Dictionary<struct (Endpoint * Endpoint), Session>()
    /// The expiry of each filter entry, by the outside endpoint of the mapping, or by the inside endpoint if that is the filter's scope.
    let contacts = Dictionary<struct (Endpoint * Endpoint), Instant>()
    /// The inside endpoints of ports that were mapped on request.
    let requested = Dictionary<uint16, Endpoint>()
    let mutable seed = seed
    let mutable rebooted = false
    let mutable drawn = 0L
    /// A lower bound of the expiry of all sessions.
    let mutable soonest = Time.never

    /// The entry of a table for a key, unless it has expired.
    let live (now: Instant) (expires: 'T -> Instant) (table: Dictionary<'K, 'T>) key : 'T voption =
        match table.TryGetValue key with
        | true, found when expires found > now -> ValueSome found
        | _ -> ValueNone

    let liveMapping now table key = live now (fun (mapping: Mapping) -> mapping.Expires) table key
    let liveSession now table key = live now (fun (session: Session) -> session.Expires) table key

    let forget () =
        seed <- Keyed.mix seed
        drawn <- 0L
        mappings.Clear()
        byPort.Clear()
        fromInside.Clear()
        fromOutside.Clear()
        contacts.Clear()
        requested.Clear()

    let reboot now =
        if now >= model.RebootAt && not rebooted then
            rebooted <- true
            forget ()

    let contactOf (mapping: Mapping) (remote: Endpoint) =
        let scope =
            match model.FilterScope with
            | FilterScope.Mapping -> mapping.Outside
            | FilterScope.Endpoint -> mapping.Inside

        struct (scope, NatModel.key model.Filter remote)

    // ---- Expiry ----

    let sweep now =
        let forget (expires: 'T -> Instant) (table: Dictionary<'K, 'T>) =
            for KeyValue(key, value) in Seq.toArray table do
                if expires value <= now then table.Remove key |> ignore

        forget (fun (mapping: Mapping) -> mapping.Expires) mappings
        forget (fun (mapping: Mapping) -> mapping.Expires) byPort
        forget (fun (session: Session) -> session.Expires) fromInside
        forget (fun (session: Session) -> session.Expires) fromOutside
        forget id contacts
        soonest <- Time.never

        for session in fromOutside.Values do
            soonest <- min soonest session.Expires

    let hasRoom now =
        if fromOutside.Count >= model.TableSize && now >= soonest then sweep now

        fromOutside.Count < model.TableSize

    /// Refreshes a session when a datagram passes in either direction.
    let prolong now isOutbound (session: Session) =
        if isOutbound <> session.BeganInside then session.IsReplied <- true

        let life = if session.IsReplied then model.Stream else model.Unreplied

        match model.Refresh with
        | Refresh.Never -> session.Expires <- session.Began + life
        | Refresh.Both -> session.Expires <- now + life
        | Refresh.Outbound -> if isOutbound || session.Expires = 0L<us> then session.Expires <- now + life

        match byPort.TryGetValue session.Outside.Port with
        | true, mapping when session.Inside = ValueSome mapping.Inside ->
            // A flow from outside extends the mapping only if inbound traffic refreshes it.
            if session.BeganInside || isOutbound || model.Refresh = Refresh.Both then
                mapping.Expires <- max mapping.Expires session.Expires

                // Only outbound datagrams add a filter entry; inbound datagrams may extend one.
                let contact = contactOf mapping session.Remote

                match contacts.TryGetValue contact with
                | true, until -> contacts[contact] <- max until session.Expires
                | _ -> if isOutbound then contacts[contact] <- session.Expires
            else
                session.Expires <- min session.Expires mapping.Expires
        | _ -> ()

    let remember now isOutbound (session: Session) =
        fromOutside[struct (session.Outside, session.Remote)] <- session

        match session.Inside with
        | ValueSome inside -> fromInside[struct (inside, session.Seen)] <- session
        | ValueNone -> ()

        prolong now isOutbound session
        soonest <- min soonest session.Expires

    // ---- Port allocation ----

    let isFree now (port: int) =
        port > 0
        && port < 65_536
        && (liveMapping now byPort (uint16 port)).IsNone
        && not (requested.ContainsKey(uint16 port))

    /// The first free port from `start` on, wrapping around in a block; -1 if there is none.
    let firstFree now first count start =
        let mutable found = -1
        let mutable turn = 0

        while found < 0 && turn < count do
            let port = first + (start + turn) % count

            if isFree now port then found <- port

            turn <- turn + 1

        found

    let hashOf purpose (inside: Endpoint) (key: Endpoint) =
        Keyed.bits seed purpose (int64 (inside.Hash 0UL) ||| (int64 (key.Hash 0UL) <<< 32))

    let elsewhere now inside key =
        let count = 32_768
        firstFree now 32_768 count (int (hashOf Purpose.fallbackPort inside key % uint64 count))

    let allocate now (inside: Endpoint) (key: Endpoint) =
        match model.Ports with
        | PortAllocation.Preserving ->
            if isFree now (int inside.Port) then int inside.Port else elsewhere now inside key
        | PortAllocation.Sequential(first, count, delta) ->
            // The first allocation takes the block's first port; after a reboot, a random one.
            let start = if rebooted then Keyed.below count seed Purpose.firstInTurn 0L else 0
            let mutable port = -1
            let mutable turn = 0

            while port < 0 && turn < count do
                let next = first + int ((int64 start + drawn * int64 delta) % int64 count)
                drawn <- drawn + 1L

                if isFree now next then port <- next

                turn <- turn + 1

            port
        | PortAllocation.Random(first, count) ->
            drawn <- drawn + 1L
            firstFree now first count (Keyed.below count seed Purpose.drawnPort drawn)
        | PortAllocation.Hashed(first, count) ->
            firstFree now first count (int (hashOf Purpose.hashedPort inside key % uint64 count))

    let map inside key (port: int) =
        let mapping = Mapping(inside, { outside with Port = uint16 port })
        mappings[struct (inside, key)] <- mapping
        byPort[uint16 port] <- mapping
        mapping

    /// The remote endpoint as the inside host sees it: with another port if the inside endpoint has a session with the real one already.
    let shown now inside (remote: Endpoint) =
        let mutable seen = remote
        let mutable turn = 0L

        while (liveSession now fromInside (struct (inside, seen))).IsSome do
            let chance = int64 (uint64 remote.Port ||| (uint64 turn <<< 16))
            seen <- { remote with Port = uint16 (1024 + Keyed.below 64_512 seed Purpose.shownPort chance) }
            turn <- turn + 1L

        seen

    /// A flow to a port that was mapped on request: its answers leave by that port.
    let forward now (source: Endpoint) (destination: Endpoint) inside =
        if hasRoom now then
            let seen = shown now inside source
            remember now false (Session(ValueSome inside, seen, destination, source, now, false))
            Translation.Passed(seen, inside)
        else
            Translation.Dropped DropCause.TableFull

    let deliver now (mapping: Mapping) (source: Endpoint) =
        if not model.InboundPinsMapping then
            if model.Refresh = Refresh.Both then
                mapping.Expires <- max mapping.Expires (now + model.Stream)

            Translation.Passed(source, mapping.Inside)
        elif not (hasRoom now) then
            Translation.Dropped DropCause.TableFull
        else
            let seen = shown now mapping.Inside source
            remember now false (Session(ValueSome mapping.Inside, seen, mapping.Outside, source, now, false))
            Translation.Passed(seen, mapping.Inside)

    let inbound now source (destination: Endpoint) isFiltered =
        match liveSession now fromOutside (struct (destination, source)) with
        | ValueSome session ->
            match session.Inside with
            | ValueSome inside ->
                prolong now false session
                Translation.Passed(session.Seen, inside)
            | ValueNone ->
                prolong now false session
                Translation.Dropped DropCause.TakenByNat
        | ValueNone ->
            let refused cause =
                if model.InboundCreatesState && isFiltered && hasRoom now then
                    remember now false (Session(ValueNone, source, destination, source, now, false))

                Translation.Dropped cause

            match requested.TryGetValue destination.Port, liveMapping now byPort destination.Port with
            | (true, inside), _ -> forward now source destination inside
            | _, ValueNone -> refused DropCause.NoMapping
            | _, ValueSome mapping ->
                let passes =
                    not isFiltered
                    || model.Filter = NatBehavior.EndpointIndependent
                    || (live now id contacts (contactOf mapping source)).IsSome

                if passes then deliver now mapping source else refused DropCause.Filtered

    member _.Model = model
    member _.Outside = outside
    member _.IsOutside(endpoint: Endpoint) = outside.Equals { endpoint with Port = 0us }

    member _.Outbound(now, source, destination) =
        reboot now

        match liveSession now fromInside (struct (source, destination)) with
        | ValueSome session ->
            prolong now true session
            Translation.Passed(session.Outside, session.Remote)
        | ValueNone when not (hasRoom now) -> Translation.Dropped DropCause.TableFull
        | ValueNone ->
            let key = NatModel.key model.Mapping destination

            let mapping =
                match liveMapping now mappings (struct (source, key)) with
                | ValueSome mapping -> mapping
                | ValueNone ->
                    match allocate now source key with
                    | -1 -> null
                    | port -> map source key port

            let mapping =
                if isNull mapping || (liveSession now fromOutside (struct (mapping.Outside, destination))).IsNone then
                    mapping
                else
                    // That port has a session with this remote already: only this flow gets another port.
                    match elsewhere now source destination with
                    | -1 -> null
                    | port -> map source destination port

            if isNull mapping then
                Translation.Dropped DropCause.NoPortLeft
            else
                remember now true (Session(ValueSome source, destination, mapping.Outside, destination, now, true))
                Translation.Passed(mapping.Outside, destination)

    member _.Inbound(now, source, destination) =
        reboot now
        inbound now source destination true

    member this.Hairpin(now, source, destination) =
        match model.Hairpin with
        | Hairpin.Never -> Translation.Dropped DropCause.NoHairpin
        | Hairpin.InternalSource ->
            reboot now
            inbound now source destination false
        | Hairpin.ExternalSource ->
            match this.Outbound(now, source, destination) with
            | Translation.Passed(source, destination) -> inbound now source destination true
            | dropped -> dropped

    member _.Rebind() = forget ()

    member _.Map(now, inside: Endpoint) =
        // The port of a live mapping of the same endpoint is as good: it becomes one for all remote endpoints.
        let isOwn =
            match liveMapping now byPort inside.Port with
            | ValueSome mapping -> mapping.Inside = inside
            | ValueNone -> false

        let port =
            if isOwn || isFree now (int inside.Port) then
                int inside.Port
            else
                elsewhere now inside inside

        if model.Mapper && port > 0 then
            requested[uint16 port] <- inside
            ValueSome { outside with Port = uint16 port }
        else
            ValueNone

    member _.MoveTo address =
        forget ()
        outside <- { address with Port = 0us }

    member _.Sessions now =
        sweep now
        fromOutside.Count
