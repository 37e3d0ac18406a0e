namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol
open UtpPunch.Tracing

[<RequireQualifiedAccess; NoComparison; ReferenceEquality>]
type private ScheduledEvent =
    | Arrive of Target * TransitDatagram
    | Depart of Carrier
    | Timer of AttachedHost

[<Sealed>]
type private EarlierFirst() =
    interface IComparer<struct (int64 * int64)> with
        member _.Compare(struct (at, order), struct (otherAt, otherOrder)) =
            if at <> otherAt then compare at otherAt else compare order otherOrder

/// A simulated internet with NATs: a clock that advances from event to event, and hosts that step when a datagram arrives or their
/// deadline is due. A datagram crosses one network after another; each applies its path and its hop count. A NAT decrements the
/// TTL before it translates, so an expired datagram creates no NAT state. Everything follows from the seed and the hosts.
[<Sealed>]
type Internet(seed: uint64, config: NetworkConfig, watcher: IInternetWatcher) =
    let queue = PriorityQueue<ScheduledEvent, struct (int64 * int64)>(EarlierFirst())
    let attachedHosts = List<AttachedHost>()
    let top = AddressRealm(config, 0)
    let mutable realms = 1
    let mutable now: Instant = 0L<us>
    let mutable placed = 0L
    let mutable number = 0L
    let mutable hash = 0xCBF29CE484222325UL
    let watch = not (isNull (box watcher))

    let place (at: Instant) event =
        placed <- placed + 1L
        queue.Enqueue(event, struct (int64 at, placed))

    let digest (value: uint64) = hash <- Keyed.mix (hash ^^^ value)

    let codeOf what =
        match what with
        | DatagramEvent.Sent -> 1UL
        | DatagramEvent.WentOut -> 2UL
        | DatagramEvent.CameIn -> 3UL
        | DatagramEvent.Hairpinned -> 4UL
        | DatagramEvent.Delivered -> 5UL
        | DatagramEvent.Dropped DropCause.NoMapping -> 16UL
        | DatagramEvent.Dropped DropCause.Filtered -> 17UL
        | DatagramEvent.Dropped DropCause.TakenByNat -> 18UL
        | DatagramEvent.Dropped DropCause.TableFull -> 19UL
        | DatagramEvent.Dropped DropCause.NoPortLeft -> 20UL
        | DatagramEvent.Dropped DropCause.NoHairpin -> 21UL
        | DatagramEvent.Dropped DropCause.Expired -> 22UL
        | DatagramEvent.Dropped DropCause.NoRoute -> 23UL
        | DatagramEvent.Dropped DropCause.NoSocket -> 24UL
        | DatagramEvent.Dropped DropCause.Lost -> 25UL

    /// Records an event of a datagram: every event passes through here.
    let note (realm: AddressRealm) (datagram: TransitDatagram) what =
        digest (uint64 now)
        digest (uint64 datagram.Number <<< 16 ||| uint64 realm.Index <<< 8 ||| codeOf what)
        digest (uint64 (datagram.Source.Hash 0UL) <<< 32 ||| uint64 (datagram.Destination.Hash 0UL))

        if watch then watcher.Saw(now, realm.Config.Name, datagram, what)

    let drop realm datagram cause = note realm datagram (DatagramEvent.Dropped cause)

    let inTransit (datagram: Datagram) bytes =
        { Number = datagram.Number
          Source = datagram.From
          Destination = datagram.To
          Ttl = datagram.Ttl
          Bytes = bytes }

    /// Carries datagrams through a network, to the next hop: a host or a NAT.
    let carrierOf (realm: AddressRealm) =
        let host =
            { new ICarrierHost with
                member _.Arrive(at, datagram, _, _) =
                    let datagram = inTransit datagram (Array.copy datagram.Bytes)

                    // What had that address when the datagram was sent may be gone.
                    match realm.Find datagram.Destination with
                    | ValueSome target -> place at (ScheduledEvent.Arrive(target, datagram))
                    | ValueNone -> drop realm datagram DropCause.NoRoute

                member _.Lost(datagram, _) = drop realm (inTransit datagram datagram.Bytes) DropCause.Lost
                member _.DepartAt at = place at (ScheduledEvent.Depart realm.Carrier) }

        Carrier(realm.Config.Path, Keyed.mix (seed + uint64 realm.Index), Time.never, host)

    do top.Carrier <- carrierOf top

    /// Routes a datagram from a network to its next hop.
    let enter (realm: AddressRealm) (datagram: TransitDatagram) =
        match realm.Find datagram.Destination with
        | ValueNone -> drop realm datagram DropCause.NoRoute
        | ValueSome _ when datagram.Ttl <= realm.Config.Hops -> drop realm datagram DropCause.Expired
        | ValueSome _ ->
            let ttl = datagram.Ttl - realm.Config.Hops

            let datagram =
                Datagram(datagram.Number, datagram.Source, datagram.Destination, datagram.Bytes, now, Ttl = ttl)

            realm.Carrier.Offer(now, datagram)

    /// Passes a datagram through a NAT, which decrements the TTL.
    let translate
        (from: AddressRealm)
        (into: AddressRealm)
        (datagram: TransitDatagram)
        what
        (nat: Instant * Endpoint * Endpoint -> Translation)
        =
        if datagram.Ttl <= 1 then
            drop from datagram DropCause.Expired
        else
            match nat (now, datagram.Source, datagram.Destination) with
            | Translation.Dropped cause -> drop from datagram cause
            | Translation.Passed(source, destination) ->
                let datagram = { datagram with Source = source; Destination = destination; Ttl = datagram.Ttl - 1 }

                note into datagram what
                enter into datagram

    let depart (realm: AddressRealm) (source: Endpoint) (departure: FromHost) =
        number <- number + 1L

        let datagram =
            { Number = number
              Source = source
              Destination = departure.To
              Ttl = departure.Ttl
              Bytes = departure.Bytes }

        digest (Fingerprint.ofBytes (ReadOnlySpan departure.Bytes))
        note realm datagram DatagramEvent.Sent
        enter realm datagram

    let schedule (attached: AttachedHost) =
        let due = attached.Host.Deadline

        if due <= now then
            Check.fail "S12" $"after its step at {int64 now} a host wants to wake at {int64 due}"

        if due <> attached.TimerAt then
            attached.TimerAt <- due

            if due <> Time.never then place due (ScheduledEvent.Timer attached)

    let step (attached: AttachedHost) (arrived: ToHost[]) =
        for departure in attached.Host.Step(now, arrived) do
            // A host may be in several networks.
            let isFrom (it: AttachedHost) = Object.ReferenceEquals(it.Host, attached.Host) && it.IsAt departure.Socket

            match (if isFrom attached then attached else attachedHosts.Find isFrom) with
            | null -> invalidOp $"a host sends from {Describe.endpoint departure.Socket}, which is not its own"
            | from -> depart from.Realm departure.Socket departure

        schedule attached

    /// Delivers all datagrams that arrive at a host at one instant in one step.
    let arrive (attached: AttachedHost) (first: TransitDatagram) =
        let arrived = List<ToHost>()

        let take (datagram: TransitDatagram) =
            if attached.Host.IsOpen datagram.Destination then
                note attached.Realm datagram DatagramEvent.Delivered
                arrived.Add { Socket = datagram.Destination; From = datagram.Source; Bytes = datagram.Bytes }
            else
                drop attached.Realm datagram DropCause.NoSocket

        take first
        let mutable more = true

        while more do
            match queue.TryPeek() with
            | true, ScheduledEvent.Arrive(Target.Host other, datagram), struct (at, _) when
                at = int64 now && Object.ReferenceEquals(other, attached)
                ->
                queue.Dequeue() |> ignore
                take datagram
            | _ -> more <- false

        if arrived.Count > 0 then step attached (arrived.ToArray())

    /// The open internet.
    member _.Open = top
    member _.Now = now
    /// A hash of all events: equal seeds, networks and hosts give equal hashes.
    member _.Hash = hash

    /// Adds a NAT with an outside address in `outer`, and returns the network behind it and the NAT.
    member _.Behind(outer: AddressRealm, model: NatModel, config: NetworkConfig) : struct (AddressRealm * Nat) =
        let inner = AddressRealm(config, realms)
        let nat = Nat(model, outer.NewAddress(), Keyed.mix (seed ^^^ Keyed.mix (uint64 realms)))
        realms <- realms + 1
        inner.Carrier <- carrierOf inner
        let gateway = Gateway(Middlebox.Nat nat, inner, outer)
        inner.Exit <- gateway
        outer.Place(nat.Outside, Target.Inward gateway)
        struct (inner, nat)

    /// A NAT reboots, and gets another address outside: what is under way to the old one is lost.
    member _.Renumber(nat: Nat, inner: AddressRealm) =
        let gateway = inner.Exit
        let address = gateway.Outer.NewAddress()
        gateway.Outer.Remove nat.Outside
        nat.MoveTo address
        gateway.Outer.Place(address, Target.Inward gateway)

    /// Adds a network without IPv4 and without a NAT: only what `Firewall` adds leads out of it.
    member _.Isolated(config: NetworkConfig) : AddressRealm =
        let inner = AddressRealm(config, realms)
        realms <- realms + 1
        inner.Carrier <- carrierOf inner
        inner

    /// Adds IPv6 to a network, behind a firewall towards the open internet.
    member _.Firewall(inner: AddressRealm, model: FirewallModel) : Firewall =
        let firewall = Firewall model
        inner.ExitIPv6 <- Gateway(Middlebox.Firewall firewall, inner, top)
        firewall

    /// Adds a NAT64 to a network with IPv6: what stands behind the prefix is reached from an IPv4 address of the open internet.
    member _.Nat64(inner: AddressRealm, prefix: Nat64Prefix, model: NatModel) : Nat64Gateway =
        let nat = Nat(model, top.NewAddress(), Keyed.mix (seed ^^^ Keyed.mix (64UL + uint64 inner.Index)))
        let it = Nat64Gateway(prefix, nat)
        let gateway = Gateway(Middlebox.Nat64 it, inner, top)
        inner.ExitNat64 <- gateway
        top.Place(nat.Outside, Target.Inward gateway)
        it

    /// Attaches a host to a network at addresses that the network has allocated. It may be in other networks as well, such as an overlay.
    member _.AddHost(realm: AddressRealm, addresses: Endpoint[], host: IInternetHost) =
        let attached =
            AttachedHost(host, realm, addresses |> Array.map (fun address -> { address with Port = 0us }))

        attachedHosts.Add attached

        for address in addresses do
            realm.Place(address, Target.Host attached)

            if not (isNull realm.ExitIPv6) && not (Endpoint.isIPv4 address) then
                top.Place(address, Target.Inward realm.ExitIPv6)

        schedule attached

    /// A host leaves its network, and is in another one, at other addresses. What is under way to the old ones is lost.
    member this.Move(host: IInternetHost, realm: AddressRealm, addresses: Endpoint[]) =
        for attached in attachedHosts.ToArray() do
            if Object.ReferenceEquals(attached.Host, host) then
                attached.TimerAt <- Time.never
                attachedHosts.Remove attached |> ignore

                for address in attached.Addresses do
                    attached.Realm.Remove address

                    if not (isNull attached.Realm.ExitIPv6) && not (Endpoint.isIPv4 address) then
                        top.Remove address

        this.AddHost(realm, addresses, host)

    /// A datagram on the open internet whose source is forged.
    member _.Forge(datagram: FromHost) = depart top datagram.Socket datagram

    /// Steps a host without arrivals, to process events that it was given directly.
    member _.Wake(host: IInternetHost) =
        for attached in attachedHosts.ToArray() do
            if Object.ReferenceEquals(attached.Host, host) then step attached [||]

    /// Advances to the next event; false when there is none until `limit`.
    member _.Advance(limit: Instant) =
        match queue.TryPeek() with
        | true, event, struct (at, _) when at <= int64 limit ->
            queue.Dequeue() |> ignore
            now <- Time.microseconds at

            match event with
            | ScheduledEvent.Arrive(Target.Host attached, datagram) -> arrive attached datagram
            | ScheduledEvent.Arrive(Target.Inward gateway, datagram) ->
                translate gateway.Outer gateway.Inner datagram DatagramEvent.CameIn gateway.Box.Inbound
            | ScheduledEvent.Arrive(Target.Outward gateway, datagram) ->
                match gateway.Box with
                | Middlebox.Nat nat when nat.IsOutside datagram.Destination ->
                    translate gateway.Inner gateway.Inner datagram DatagramEvent.Hairpinned nat.Hairpin
                | Middlebox.Nat64 it when it.IsOutside datagram.Destination ->
                    translate gateway.Inner gateway.Inner datagram DatagramEvent.Hairpinned it.Hairpin
                | box -> translate gateway.Inner gateway.Outer datagram DatagramEvent.WentOut box.Outbound
            | ScheduledEvent.Depart carrier -> carrier.Depart now
            | ScheduledEvent.Timer attached ->
                // The timer was rescheduled since.
                if attached.TimerAt = now then
                    attached.TimerAt <- Time.never
                    step attached [||]

            true
        | _ -> false

    /// Runs all events up to an instant, and advances the clock to it.
    member this.RunUntil(limit: Instant) =
        while this.Advance limit do
            ()

        now <- max now limit
