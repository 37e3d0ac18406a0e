namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// How a peer reaches the open internet over IPv6.
[<RequireQualifiedAccess; NoComparison>]
type Ipv6Access =
    | Absent
    | Open
    | Behind of FirewallModel

/// How a peer reaches the open internet: by IPv4, with the NATs on the way, the outermost first, or not; and by IPv6.
[<NoComparison>]
type DualStackPeer = { IPv4: NatModel list voption; IPv6: Ipv6Access }

/// Two peers in networks with one or both address families, which meet at a rendezvous of each family, or of one.
[<NoComparison>]
type DualStackScenario =
    {
        Seed: uint64
        A: DualStackPeer
        B: DualStackPeer
        /// Whether there is a server with IPv4 addresses only, and one with IPv6 addresses only.
        ServesIPv4: bool
        ServesIPv6: bool
        Path: Path
        Late: Duration
        Birthday: bool
    }

[<NoComparison>]
type DualStackOutcome =
    {
        /// All results of each: one for each server at most.
        A: PunchReport list
        B: PunchReport list
        IsUsable: bool
        Hash: uint64
    }

module DualStackOutcome =
    let private opened (reports: PunchReport list) =
        reports |> List.filter (fun report -> report.Stage = PunchStage.Open)

    /// The path that both have; each has at most one.
    let path (outcome: DualStackOutcome) : Endpoint voption =
        match opened outcome.A, opened outcome.B with
        | [ a ], [ _ ] -> ValueSome a.Remote
        | _ -> ValueNone

    let isOneSided (outcome: DualStackOutcome) = (opened outcome.A).Length <> (opened outcome.B).Length

module DualStackScenario =
    let between a b : DualStackScenario =
        { Seed = 1UL
          A = a
          B = b
          ServesIPv4 = true
          ServesIPv6 = true
          Path = NetworkConfig.openInternet.Path
          Late = 0L<us>
          Birthday = false }

    /// A peer's network, and its addresses there.
    let private place (internet: Internet) number (peer: DualStackPeer) : struct (AddressRealm * Endpoint[]) =
        let isOpen = peer.IPv6.IsOpen

        let realm =
            match peer.IPv4 with
            | ValueSome [] -> internet.Open
            | ValueSome chain ->
                let struct (realm, _) = PunchScenario.home internet number chain
                realm
            | ValueNone when isOpen -> internet.Open
            | ValueNone -> internet.Isolated(NetworkConfig.home number)

        match peer.IPv6 with
        | Ipv6Access.Behind model -> internet.Firewall(realm, model) |> ignore
        | Ipv6Access.Open when not (obj.ReferenceEquals(realm, internet.Open)) ->
            // A router that filters nothing.
            internet.Firewall(realm, FirewallModel.transparent) |> ignore
        | _ -> ()

        let addresses =
            [| if peer.IPv4.IsSome then realm.NewAddress()
               match peer.IPv6 with
               | Ipv6Access.Absent -> ()
               | _ -> realm.NewIPv6Address() |]

        struct (realm, addresses)

    let private addPeer internet number (port: uint16) seed peer : NodeHost =
        let struct (realm, addresses) = place internet number peer
        let host = NodeHost(addresses |> Array.map (Endpoint.withPort port), seed)
        internet.AddHost(realm, addresses, host)
        host

    /// A server with two addresses of one family.
    let private addServer (internet: Internet) (newAddress: unit -> Endpoint) seed =
        let first, second = newAddress (), newAddress ()

        let sockets =
            [| Endpoint.withPort 3000us first
               Endpoint.withPort 3001us first
               Endpoint.withPort 3000us second |]

        internet.AddHost(internet.Open, [| first; second |], RendezvousHost(sockets, seed))
        sockets[0]

    /// A peer meets at each server of its families.
    let private ask (internet: Internet) (scenario: DualStackScenario) (servers: Endpoint list) (host: NodeHost) =
        let hasFamily (server: Endpoint) =
            host.Sockets |> Array.exists (fun own -> Endpoint.isIPv4 own = Endpoint.isIPv4 server)

        let plan server =
            { PunchScenario.planOf [| server |] (Owned(Array.create 32 7uy)) host.Sockets with
                Birthday = scenario.Birthday
                Timeout = Time.seconds 20 }

        for index, server in servers |> List.filter hasFamily |> List.indexed do
            let event =
                if index = 0 then
                    Event.Meet(1, plan server)
                else
                    Event.MeetAlso(index + 1, 1, plan server)

            host.Tell(internet, event)

    let private runWith isChecked (watcher: IInternetWatcher) (scenario: DualStackScenario) : DualStackOutcome =
        let seed = scenario.Seed
        let internet = Internet(seed, { NetworkConfig.openInternet with Path = scenario.Path }, watcher)
        let isOpen (host: NodeHost) = host.Opened > 0

        let servers =
            [ if scenario.ServesIPv4 then
                  addServer internet internet.Open.NewAddress (Keyed.mix (seed + 1UL))
              if scenario.ServesIPv6 then
                  addServer internet internet.Open.NewIPv6Address (Keyed.mix (seed + 4UL)) ]

        let a = addPeer internet 1 6001us (Keyed.mix (seed + 2UL)) scenario.A
        let b = addPeer internet 2 7002us (Keyed.mix (seed + 3UL)) scenario.B
        a.IsChecked <- isChecked
        b.IsChecked <- isChecked
        ask internet scenario servers a
        internet.RunUntil(internet.Now + scenario.Late)
        ask internet scenario servers b
        let limit = internet.Now + Time.seconds 60

        while not (isOpen a && isOpen b) && internet.Advance limit do
            ()

        // The losing punch of two servers, and repetitions of the last packets.
        internet.RunUntil(internet.Now + Time.seconds 1)

        { A = List.ofSeq a.Punched
          B = List.ofSeq b.Punched
          IsUsable = isOpen a && isOpen b
          Hash = internet.Hash }

    let run (scenario: DualStackScenario) : DualStackOutcome =
        runWith false Unchecked.defaultof<IInternetWatcher> scenario

    let runWatched (watcher: IInternetWatcher) (scenario: DualStackScenario) : DualStackOutcome =
        runWith false watcher scenario

    /// Like `run`, but checks the node's laws after every step and replaces every node by what its snapshot restores.
    let runChecked (scenario: DualStackScenario) : DualStackOutcome =
        runWith true Unchecked.defaultof<IInternetWatcher> scenario

    // ---- What must connect ----

    let private hasIPv6 (peer: DualStackPeer) =
        match peer.IPv6 with
        | Ipv6Access.Absent -> false
        | Ipv6Access.Open
        | Ipv6Access.Behind _ -> true

    let private shareIPv4 (scenario: DualStackScenario) = scenario.A.IPv4.IsSome && scenario.B.IPv4.IsSome
    let private shareIPv6 (scenario: DualStackScenario) = hasIPv6 scenario.A && hasIPv6 scenario.B

    /// Whether there is a server of a family that both have.
    let areIntroduced (scenario: DualStackScenario) =
        (scenario.ServesIPv4 && shareIPv4 scenario) || (scenario.ServesIPv6 && shareIPv6 scenario)

    /// Peers with IPv6 connect whatever their NATs and firewalls are, once they are introduced, by whichever family: both send first.
    let mustConnect (scenario: DualStackScenario) = areIntroduced scenario && shareIPv6 scenario
