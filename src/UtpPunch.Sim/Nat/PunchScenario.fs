namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// Two peers that meet at a rendezvous, each behind a chain of NATs, as a value: running the same scenario gives the same result.
[<NoComparison>]
type PunchScenario =
    {
        Seed: uint64
        /// The NATs, the outermost first: a carrier's, then a home's. Empty for a host on the open internet.
        A: NatModel list
        B: NatModel list
        /// The path of the open internet: delay, loss, duplication.
        Path: Path
        /// How much later than A the peer B registers.
        Late: Duration
        Birthday: bool
        Timeout: Duration
        /// The hop limit of the first packets.
        PrimingHops: int
        /// How long the streams of each peer wait for another path.
        PathTimeoutOfA: Duration
        PathTimeoutOfB: Duration
    }

/// The result of a scenario.
[<NoComparison>]
type PunchOutcome =
    {
        A: PunchReport voption
        B: PunchReport voption
        /// Whether a stream is open at both ends.
        IsUsable: bool
        /// The time from the first introduction until the stream is open at both ends.
        Took: Duration
        Sent: int64
        Hash: uint64
    }

module PunchOutcome =
    let private isOpen (report: PunchReport voption) =
        match report with
        | ValueSome report -> report.Stage = PunchStage.Open
        | ValueNone -> false

    let isMet (outcome: PunchOutcome) = isOpen outcome.A && isOpen outcome.B
    let isOneSided (outcome: PunchOutcome) = isOpen outcome.A <> isOpen outcome.B

module PunchScenario =
    let between a b : PunchScenario =
        { Seed = 1UL
          A = a
          B = b
          Path = NetworkConfig.openInternet.Path
          Late = 0L<us>
          Birthday = false
          Timeout = Time.seconds 10
          PrimingHops = 4
          PathTimeoutOfA = Time.seconds 180
          PathTimeoutOfB = Time.seconds 180 }

    /// An ordinary meeting.
    let planOf (servers: Endpoint[]) (room: Owned) (hosts: Endpoint[]) : MeetPlan =
        { Servers = servers
          Room = room
          Hosts = hosts
          Stays = false
          Timeout = Time.seconds 60
          PunchTimeout = Time.seconds 10
          Birthday = false
          PrimingHops = 4
          PrivateAddresses = PrivateAddressPolicy.Shared
          PathTimeout = Time.seconds 180
          Reports = false }

    let plan (scenario: PunchScenario) server (hosts: Endpoint[]) : MeetPlan =
        { planOf [| server |] (Owned(Array.create 32 7uy)) hosts with
            PunchTimeout = scenario.Timeout
            Birthday = scenario.Birthday
            PrimingHops = scenario.PrimingHops }

    /// Creates a chain of NATs and returns the innermost network, and the NATs.
    let home (internet: Internet) number (chain: NatModel list) : struct (AddressRealm * Nat list) =
        let mutable realm = internet.Open
        let mutable nats = []
        let last = chain.Length - 1

        for index, model in List.indexed chain do
            let config = if index = last then NetworkConfig.home number else NetworkConfig.carrier number
            let struct (inner, nat) = internet.Behind(realm, model, config)
            realm <- inner
            nats <- nat :: nats

        struct (realm, nats)

    let addHost (internet: Internet) (realm: AddressRealm) port seed =
        let address = realm.NewAddress()
        let host = NodeHost(Endpoint.withPort port address, seed)
        internet.AddHost(realm, [| address |], host)
        host

    let addServer (internet: Internet) seed =
        let first = internet.Open.NewAddress()
        let second = internet.Open.NewAddress()

        let sockets =
            [| Endpoint.withPort 3000us first
               Endpoint.withPort 3001us first
               Endpoint.withPort 3000us second |]

        let server = RendezvousHost(sockets, seed)
        internet.AddHost(internet.Open, [| first; second |], server)
        server

    /// Lets two hosts meet at a server, and runs until both have a result.
    let meet
        (internet: Internet)
        (server: RendezvousHost)
        (scenario: PunchScenario)
        (a: NodeHost)
        (b: NodeHost)
        : PunchOutcome =
        let ask (host: NodeHost) timeout =
            let plan = plan scenario server.Sockets[0] [| host.Socket |]
            host.Tell(internet, Event.Meet(1, { plan with PathTimeout = timeout }))

        ask a scenario.PathTimeoutOfA
        internet.RunUntil(internet.Now + scenario.Late)
        ask b scenario.PathTimeoutOfB
        let limit = internet.Now + Time.seconds 65 + scenario.Timeout + Time.seconds 40

        let isDone () =
            a.Punched.Count > 0
            && b.Punched.Count > 0
            && ((a.Opened > 0 && b.Opened > 0)
                || a.Punched[0].Stage <> PunchStage.Open
                || b.Punched[0].Stage <> PunchStage.Open)

        while not (isDone ()) && internet.Advance limit do
            ()

        let report (host: NodeHost) = if host.Punched.Count > 0 then ValueSome host.Punched[0] else ValueNone

        let began =
            match report a with
            | ValueSome it when it.Stage = PunchStage.Open -> a.PunchedAt - it.Elapsed
            | _ -> Time.never

        { A = report a
          B = report b
          IsUsable = a.Opened > 0 && b.Opened > 0
          Took = (if began = Time.never then 0L<us> else max a.OpenedAt b.OpenedAt - began)
          Sent = a.Sent + b.Sent
          Hash = internet.Hash }

    /// A opens a stream to B, which listens on the open internet.
    let dial (internet: Internet) (a: NodeHost) (b: NodeHost) : PunchOutcome =
        b.Tell(internet, Event.Listen 4)
        a.Tell(internet, Event.Connect(2, b.Socket, Dialect.Bep29, Time.seconds 30))
        let limit = internet.Now + Time.seconds 30

        while not (a.Opened > 0 && b.Opened > 0) && internet.Advance limit do
            ()

        { A = ValueNone
          B = ValueNone
          IsUsable = a.Opened > 0 && b.Opened > 0
          Took = 0L<us>
          Sent = a.Sent + b.Sent
          Hash = internet.Hash }

    /// A host behind NATs, and these.
    let addPeer (internet: Internet) chain number port seed : struct (NodeHost * Nat list) =
        let struct (realm, nats) = home internet number chain
        struct (addHost internet realm port seed, nats)

    let addPeers (internet: Internet) (scenario: PunchScenario) : struct (NodeHost * NodeHost) =
        let struct (a, _) = addPeer internet scenario.A 1 6001us (Keyed.mix (scenario.Seed + 2UL))
        let struct (b, _) = addPeer internet scenario.B 2 7002us (Keyed.mix (scenario.Seed + 3UL))
        struct (a, b)

    let private runWith isChecked (watcher: IInternetWatcher) (scenario: PunchScenario) : PunchOutcome =
        let internet =
            Internet(scenario.Seed, { NetworkConfig.openInternet with Path = scenario.Path }, watcher)

        let server = addServer internet (Keyed.mix (scenario.Seed + 1UL))
        let struct (a, b) = addPeers internet scenario
        a.IsChecked <- isChecked
        b.IsChecked <- isChecked
        meet internet server scenario a b

    let runWatched (watcher: IInternetWatcher) (scenario: PunchScenario) : PunchOutcome = runWith false watcher scenario
    let run (scenario: PunchScenario) : PunchOutcome = runWatched Unchecked.defaultof<IInternetWatcher> scenario

    /// Like `run`, but checks the node's laws after every step and replaces every node by what its snapshot restores.
    let runChecked (scenario: PunchScenario) : PunchOutcome =
        runWith true Unchecked.defaultof<IInternetWatcher> scenario
