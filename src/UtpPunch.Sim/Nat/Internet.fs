namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

[<RequireQualifiedAccess; NoComparison; ReferenceEquality>]
type private Moment =
    | Arrive of Target * Parcel
    | Timer of Resident

[<Sealed>]
type private Sooner() =
    interface IComparer<struct (int64 * int64)> with
        member _.Compare(struct (at, order), struct (otherAt, otherOrder)) =
            if at <> otherAt then compare at otherAt else compare order otherOrder

/// An internet with NATs in it, a clock that jumps from one happening to the next, and hosts that step when something arrives or
/// their deadline comes. A parcel crosses one network after the other. In each it pays the link and the hops; every NAT takes one
/// hop before it looks at the parcel, so that what dies there leaves no trace. What a seed and the hosts do not decide is not decided.
[<Sealed>]
type Internet(seed: uint64, ground: Ground, watcher: IInternetWatcher) =
    let queue = PriorityQueue<Moment, struct (int64 * int64)>(Sooner())
    let residents = List<Resident>()
    let top = Realm(ground, 0)
    let mutable realms = 1
    let mutable now: Instant = 0L<us>
    let mutable placed = 0L
    let mutable number = 0L
    let mutable hash = 0xCBF29CE484222325UL
    let watch = not (isNull (box watcher))

    let place (at: Instant) moment =
        placed <- placed + 1L
        queue.Enqueue(moment, struct (int64 at, placed))

    let digest (value: uint64) = hash <- Keyed.mix (hash ^^^ value)

    let codeOf what =
        match what with
        | Happening.Sent -> 1UL
        | Happening.WentOut -> 2UL
        | Happening.CameIn -> 3UL
        | Happening.Hairpinned -> 4UL
        | Happening.Delivered -> 5UL
        | Happening.Dropped DropCause.NoMapping -> 16UL
        | Happening.Dropped DropCause.Filtered -> 17UL
        | Happening.Dropped DropCause.TakenByNat -> 18UL
        | Happening.Dropped DropCause.TableFull -> 19UL
        | Happening.Dropped DropCause.NoPortLeft -> 20UL
        | Happening.Dropped DropCause.NoHairpin -> 21UL
        | Happening.Dropped DropCause.Expired -> 22UL
        | Happening.Dropped DropCause.NoRoute -> 23UL
        | Happening.Dropped DropCause.NoSocket -> 24UL
        | Happening.Dropped DropCause.Lost -> 25UL

    /// Everything that happens passes here.
    let note (realm: Realm) (parcel: Parcel) what =
        digest (uint64 now)
        digest (uint64 parcel.Number <<< 16 ||| uint64 realm.Index <<< 8 ||| codeOf what)
        digest (uint64 (parcel.Source.Hash 0UL) <<< 32 ||| uint64 (parcel.Destination.Hash 0UL))

        if watch then watcher.Saw(now, realm.Ground.Name, parcel, what)

    let drop realm parcel cause = note realm parcel (Happening.Dropped cause)

    /// On from a place in a network.
    let enter (realm: Realm) (parcel: Parcel) =
        match realm.Find parcel.Destination with
        | ValueNone -> drop realm parcel DropCause.NoRoute
        | ValueSome _ when parcel.Ttl <= realm.Ground.Hops -> drop realm parcel DropCause.Expired
        | ValueSome target ->
            let parcel = { parcel with Ttl = parcel.Ttl - realm.Ground.Hops }
            let key = Keyed.mix (seed + uint64 realm.Index)
            let ordinal = realm.Carried
            realm.Carried <- ordinal + 1L

            let struct (fate, busyUntil) =
                Link.carry key ordinal now realm.BusyUntil parcel.Bytes.Length realm.Ground.Link

            realm.BusyUntil <- busyUntil

            if fate.Arrivals.IsEmpty then drop realm parcel DropCause.Lost

            for at in fate.Arrivals do
                let bytes = Array.copy parcel.Bytes

                if fate.Corrupted then Link.corrupt key ordinal bytes

                place at (Moment.Arrive(target, { parcel with Bytes = bytes }))

    /// Through a NAT, which takes a hop.
    let translate
        (from: Realm)
        (into: Realm)
        (parcel: Parcel)
        what
        (nat: Instant * Endpoint * Endpoint -> Translation)
        =
        if parcel.Ttl <= 1 then
            drop from parcel DropCause.Expired
        else
            match nat (now, parcel.Source, parcel.Destination) with
            | Translation.Dropped cause -> drop from parcel cause
            | Translation.Passed(source, destination) ->
                let parcel = { parcel with Source = source; Destination = destination; Ttl = parcel.Ttl - 1 }

                note into parcel what
                enter into parcel

    let schedule (resident: Resident) =
        let due = resident.Host.Deadline

        if due <= now then
            Check.fail "S12" $"after its step at {int64 now} a host wants to wake at {int64 due}"

        if due <> resident.TimerAt then
            resident.TimerAt <- due

            if due <> Time.never then place due (Moment.Timer resident)

    let step (resident: Resident) (arrived: ToHost[]) =
        for departure in resident.Host.Step(now, arrived) do
            if not (resident.IsAt departure.Socket) then
                invalidOp $"a host sends from {Describe.endpoint departure.Socket}, which is not its own"

            number <- number + 1L

            let parcel =
                { Number = number
                  Source = departure.Socket
                  Destination = departure.To
                  Ttl = departure.Ttl
                  Bytes = departure.Bytes }

            digest (Fingerprint.ofBytes (ReadOnlySpan departure.Bytes))
            note resident.Realm parcel Happening.Sent
            enter resident.Realm parcel

        schedule resident

    /// What arrives at a host at one instant arrives in one step.
    let arrive (resident: Resident) (first: Parcel) =
        let arrived = List<ToHost>()

        let take (parcel: Parcel) =
            if resident.Host.IsOpen parcel.Destination then
                note resident.Realm parcel Happening.Delivered
                arrived.Add { Socket = parcel.Destination; From = parcel.Source; Bytes = parcel.Bytes }
            else
                drop resident.Realm parcel DropCause.NoSocket

        take first
        let mutable more = true

        while more do
            match queue.TryPeek() with
            | true, Moment.Arrive(Target.Host other, parcel), struct (at, _) when
                at = int64 now && Object.ReferenceEquals(other, resident)
                ->
                queue.Dequeue() |> ignore
                take parcel
            | _ -> more <- false

        if arrived.Count > 0 then step resident (arrived.ToArray())

    /// The open internet.
    member _.Open = top
    member _.Now = now
    /// Of everything that happened: the same seed, networks and hosts give the same.
    member _.Hash = hash

    /// A network behind a NAT that stands in `outer`. Also gives the NAT.
    member _.Behind(outer: Realm, model: NatModel, ground: Ground) : struct (Realm * Nat) =
        let inner = Realm(ground, realms)
        let nat = Nat(model, outer.NewAddress(), Keyed.mix (seed ^^^ Keyed.mix (uint64 realms)))
        realms <- realms + 1
        let gateway = Gateway(nat, inner, outer)
        inner.Exit <- gateway
        outer.Place(nat.Outside, Target.Inward gateway)
        struct (inner, nat)

    /// Puts a host into a network, at addresses that the network gave out.
    member _.Settle(realm: Realm, addresses: Endpoint[], host: IInternetHost) =
        let resident =
            Resident(host, realm, addresses |> Array.map (fun address -> { address with Port = 0us }))

        residents.Add resident

        for address in addresses do
            realm.Place(address, Target.Host resident)

        schedule resident

    /// A step without arrivals, for a host that was told something from elsewhere.
    member _.Wake(host: IInternetHost) =
        for resident in residents.ToArray() do
            if Object.ReferenceEquals(resident.Host, host) then step resident [||]

    /// Goes to the next happening; false when there is none, or none before `limit`.
    member _.Advance(limit: Instant) =
        match queue.TryPeek() with
        | true, moment, struct (at, _) when at <= int64 limit ->
            queue.Dequeue() |> ignore
            now <- Time.microseconds at

            match moment with
            | Moment.Arrive(Target.Host resident, parcel) -> arrive resident parcel
            | Moment.Arrive(Target.Inward gateway, parcel) ->
                translate gateway.Outer gateway.Inner parcel Happening.CameIn gateway.Nat.Inbound
            | Moment.Arrive(Target.Outward gateway, parcel) ->
                if gateway.Nat.IsOutside parcel.Destination then
                    translate gateway.Inner gateway.Inner parcel Happening.Hairpinned gateway.Nat.Hairpin
                else
                    translate gateway.Inner gateway.Outer parcel Happening.WentOut gateway.Nat.Outbound
            | Moment.Timer resident ->
                // A timer that was put off since is not its own any more.
                if resident.TimerAt = now then
                    resident.TimerAt <- Time.never
                    step resident [||]

            true
        | _ -> false

    /// Everything up to an instant, which it is then.
    member this.RunUntil(limit: Instant) =
        while this.Advance limit do
            ()

        now <- max now limit
