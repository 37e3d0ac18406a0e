namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// What happens to a peer while its stream is under way.
[<RequireQualifiedAccess; NoComparison>]
type MoveKind =
    /// Its NAT forgets all mappings, and takes other ports.
    | Rebind
    /// It is in another network, behind these NATs.
    | Elsewhere of NatModel list
    /// It gets a second address, in a network in which both may be, with that path.
    | Joins of Path
    /// Nothing crosses the open internet for that time.
    | Outage of Duration

/// Two peers that have met, and to which something happens while they talk.
[<NoComparison>]
type MoveScenario =
    {
        Meeting: PunchScenario
        /// Whether A opens a stream to B, which listens on the open internet, and they do not meet at a rendezvous.
        IsDialled: bool
        /// How much each of them writes, and how much at once every `Pause`; 0 for a side that only reads.
        BytesOfA: int
        BytesOfB: int
        Chunk: int
        Pause: Duration
        /// After the stream is open.
        Moves: struct (Duration * bool * MoveKind) list
    }

[<NoComparison>]
type MoveOutcome =
    {
        /// Whether they met at all, and when the stream was open.
        IsUsable: bool
        BeganAt: Instant
        A: Transfer
        B: Transfer
        /// The longest gap in each direction from the first move on.
        LongestGap: Duration
        Datagrams: int64
        Hash: uint64
    }

module MoveOutcome =
    let isWhole (outcome: MoveOutcome) = outcome.A.IsDone && outcome.B.IsDone

module MoveScenario =
    let between a b : MoveScenario =
        { Meeting = PunchScenario.between a b
          IsDialled = false
          BytesOfA = 300_000
          BytesOfB = 300_000
          Chunk = 1_000
          Pause = Time.milliseconds 50
          Moves = [] }

    let private happen
        (internet: Internet)
        (shared: Path -> AddressRealm)
        (host: NodeHost)
        (nats: Nat list)
        number
        move
        =
        match move with
        | MoveKind.Rebind ->
            for nat in nats do
                nat.Rebind()

            nats
        | MoveKind.Joins path ->
            let realm = shared path
            let address = realm.NewAddress()
            host.Join(Endpoint.withPort host.Socket.Port address)
            internet.AddHost(realm, [| address |], host)
            internet.Wake host
            nats
        | MoveKind.Outage duration ->
            let carrier = internet.Open.Carrier
            let path = carrier.Path
            carrier.Path <- { path with Loss = Loss.Each 1000 }
            internet.RunUntil(internet.Now + duration)
            carrier.Path <- path
            nats
        | MoveKind.Elsewhere chain ->
            let struct (realm, nats) = PunchScenario.home internet number chain
            let address = realm.NewAddress()
            host.MoveTo(Endpoint.withPort host.Socket.Port address)
            internet.Move(host, realm, [| address |])
            internet.Wake host
            nats

    let private runWith
        isChecked
        (watcher: IInternetWatcher)
        (join: Internet -> unit)
        (scenario: MoveScenario)
        : MoveOutcome =
        let meeting = scenario.Meeting
        let internet = Internet(meeting.Seed, { NetworkConfig.openInternet with Path = meeting.Path }, watcher)
        let server = PunchScenario.addServer internet (Keyed.mix (meeting.Seed + 1UL))

        let struct (a, natsOfA) =
            PunchScenario.addPeer internet meeting.A 1 6001us (Keyed.mix (meeting.Seed + 2UL))

        let struct (b, natsOfB) =
            PunchScenario.addPeer internet meeting.B 2 7002us (Keyed.mix (meeting.Seed + 3UL))

        join internet
        let keyA, keyB = Content.keyOf meeting.Seed 0 1, Content.keyOf meeting.Seed 0 2
        a.Transfer <- Transfer(keyA, keyB, scenario.BytesOfA, scenario.Chunk, scenario.Pause)
        b.Transfer <- Transfer(keyB, keyA, scenario.BytesOfB, scenario.Chunk, scenario.Pause)
        a.IsChecked <- isChecked
        b.IsChecked <- isChecked

        let outcome =
            if scenario.IsDialled then
                PunchScenario.dial internet a b
            else
                PunchScenario.meet internet server meeting a b

        let mutable nats = [ natsOfA; natsOfB ]
        let mutable lan: AddressRealm = null

        let shared path =
            if isNull lan then
                let home = NatModel.rfc NatBehavior.EndpointIndependent NatBehavior.EndpointIndependent
                let struct (realm, _) = internet.Behind(internet.Open, home, { NetworkConfig.home 90 with Path = path })
                lan <- realm

            lan

        let mutable number = 3
        let began = internet.Now

        if outcome.IsUsable then
            for struct (after, isOfB, move) in scenario.Moves do
                internet.RunUntil(began + after)

                if number = 3 then
                    a.Transfer.Rest internet.Now
                    b.Transfer.Rest internet.Now

                let index = if isOfB then 1 else 0
                let after = happen internet shared (if isOfB then b else a) nats[index] number move
                nats <- List.updateAt index after nats
                number <- number + 1

            let isOver (it: Transfer) = it.IsDone || it.Reason.IsSome
            let writing = int64 (max scenario.BytesOfA scenario.BytesOfB / scenario.Chunk) * scenario.Pause
            let limit = internet.Now + writing + Time.seconds 400

            while not (isOver a.Transfer && isOver b.Transfer) && internet.Advance limit do
                ()

        { IsUsable = outcome.IsUsable
          BeganAt = began
          A = a.Transfer
          B = b.Transfer
          LongestGap = max a.Transfer.LongestGap b.Transfer.LongestGap
          Datagrams = a.Sent + b.Sent
          Hash = internet.Hash }

    let runWatched (watcher: IInternetWatcher) (scenario: MoveScenario) : MoveOutcome =
        runWith false watcher ignore scenario

    /// The same beside a host at `thirdHost` that sees everything.
    let runBeside (watcher: IInternetWatcher) (host: IInternetHost) (scenario: MoveScenario) : MoveOutcome =
        runWith
            false
            watcher
            (fun internet -> internet.AddHost(internet.Open, [| internet.Open.NewAddress() |], host))
            scenario

    let run (scenario: MoveScenario) : MoveOutcome = runWatched Unchecked.defaultof<IInternetWatcher> scenario

    /// The third address after those of the rendezvous, where each peer or its NAT has one.
    let thirdHost = Endpoint.ofIPv4 (NetworkConfig.openInternet.First + 4u) 9000us

    /// Like `run`, but checks the node's laws after every step and replaces every node by what its snapshot restores.
    let runChecked (scenario: MoveScenario) : MoveOutcome =
        runWith true Unchecked.defaultof<IInternetWatcher> ignore scenario
