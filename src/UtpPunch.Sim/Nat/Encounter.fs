namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// Two peers that meet at a rendezvous, each behind a chain of NATs, as a value: the same encounter goes the same way.
[<NoComparison>]
type Encounter =
    {
        Seed: uint64
        /// The NATs from the open internet inwards: a carrier's first, a home's last; none for a host on the open internet.
        A: NatModel list
        B: NatModel list
        /// The open internet: delay, loss, duplication.
        Link: Link
        /// How much later B comes to the rendezvous.
        Late: Duration
        Birthday: bool
        Timeout: Duration
        /// How far the first packets go.
        PrimingHops: int
    }

/// What came of it.
[<NoComparison>]
type Meeting =
    {
        A: PunchReport voption
        B: PunchReport voption
        /// Whether both ends of a stream are open.
        IsUsable: bool
        /// From the first introduction until then.
        Took: Duration
        Sent: int64
        Hash: uint64
    }

module Meeting =
    let private isOpen (report: PunchReport voption) =
        match report with
        | ValueSome report -> report.Stage = PunchStage.Open
        | ValueNone -> false

    let isMet (meeting: Meeting) = isOpen meeting.A && isOpen meeting.B
    let isOneSided (meeting: Meeting) = isOpen meeting.A <> isOpen meeting.B

module Encounter =
    let between a b : Encounter =
        { Seed = 1UL
          A = a
          B = b
          Link = Ground.openInternet.Link
          Late = 0L<us>
          Birthday = false
          Timeout = Time.seconds 10
          PrimingHops = 4 }

    let plan (encounter: Encounter) server (hosts: Endpoint[]) : MeetPlan =
        { Server = server
          Room = Owned(Array.create 32 7uy)
          Hosts = hosts
          Stays = false
          Timeout = Time.seconds 60
          PunchTimeout = encounter.Timeout
          Birthday = encounter.Birthday
          PrimingHops = encounter.PrimingHops }

    /// The network behind a chain of NATs.
    let private home (internet: Internet) number (chain: NatModel list) : Realm =
        let mutable realm = internet.Open
        let last = chain.Length - 1

        for index, model in List.indexed chain do
            let ground = if index = last then Ground.home number else Ground.carrier number
            let struct (inner, _) = internet.Behind(realm, model, ground)
            realm <- inner

        realm

    let settle (internet: Internet) (realm: Realm) port seed =
        let address = realm.NewAddress()
        let host = NodeHost(Endpoint.withPort port address, seed)
        internet.Settle(realm, [| address |], host)
        host

    let serve (internet: Internet) seed =
        let first = internet.Open.NewAddress()
        let second = internet.Open.NewAddress()

        let sockets =
            [| Endpoint.withPort 3000us first
               Endpoint.withPort 3001us first
               Endpoint.withPort 3000us second |]

        let server = RendezvousHost(sockets, seed)
        internet.Settle(internet.Open, [| first; second |], server)
        server

    /// Two hosts in two networks, which meet at a server.
    let meet
        (internet: Internet)
        (server: RendezvousHost)
        (encounter: Encounter)
        (a: NodeHost)
        (b: NodeHost)
        : Meeting =
        let ask (host: NodeHost) =
            host.Tell(internet, Event.Meet(1, plan encounter server.Sockets[0] [| host.Socket |]))

        ask a
        internet.RunUntil(internet.Now + encounter.Late)
        ask b
        let limit = internet.Now + Time.seconds 65 + encounter.Timeout + Time.seconds 40

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

    let settleBoth (internet: Internet) (encounter: Encounter) : struct (NodeHost * NodeHost) =
        let a = settle internet (home internet 1 encounter.A) 6001us (Keyed.mix (encounter.Seed + 2UL))
        let b = settle internet (home internet 2 encounter.B) 7002us (Keyed.mix (encounter.Seed + 3UL))
        struct (a, b)

    let private runWith isChecked (watcher: IInternetWatcher) (encounter: Encounter) : Meeting =
        let internet = Internet(encounter.Seed, { Ground.openInternet with Link = encounter.Link }, watcher)
        let server = serve internet (Keyed.mix (encounter.Seed + 1UL))
        let struct (a, b) = settleBoth internet encounter
        a.IsChecked <- isChecked
        b.IsChecked <- isChecked
        meet internet server encounter a b

    let runWatched (watcher: IInternetWatcher) (encounter: Encounter) : Meeting = runWith false watcher encounter
    let run (encounter: Encounter) : Meeting = runWatched Unchecked.defaultof<IInternetWatcher> encounter

    /// The same, with the laws of the node checked after every step, and every node replaced by what its snapshot gives.
    let runChecked (encounter: Encounter) : Meeting = runWith true Unchecked.defaultof<IInternetWatcher> encounter
