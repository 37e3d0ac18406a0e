namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// A peer with IPv6 only behind a NAT64, and one with IPv4 behind NATs, which meet at a rendezvous that has IPv4 only.
[<NoComparison>]
type Nat64Scenario =
    {
        Seed: uint64
        Prefix: Nat64Prefix
        Nat64: NatModel
        /// The NATs of the other peer, the outermost first.
        B: NatModel list
        Path: Path
        Late: Duration
        /// Whether the host behind the NAT64 has learned its prefix.
        IsKnown: bool
        /// Addresses that the other peer names besides its own.
        Named: Endpoint[]
    }

module Nat64Scenario =
    let between model chain : Nat64Scenario =
        { Seed = 1UL
          Prefix = Nat64.wellKnown
          Nat64 = model
          B = chain
          Path = NetworkConfig.openInternet.Path
          Late = 0L<us>
          IsKnown = true
          Named = [||] }

    /// A host in a network with IPv6 only.
    let private addIPv6Only (internet: Internet) (scenario: Nat64Scenario) seed : NodeHost =
        let realm = internet.Isolated(NetworkConfig.home 1)
        internet.Firewall(realm, FirewallModel.conntrack) |> ignore
        internet.Nat64(realm, scenario.Prefix, scenario.Nat64) |> ignore
        let address = realm.NewIPv6Address()
        let host = NodeHost(Endpoint.withPort 6001us address, seed)
        internet.AddHost(realm, [| address |], host)
        host

    let private runWith isChecked (watcher: IInternetWatcher) (scenario: Nat64Scenario) : DualStackOutcome =
        let seed = scenario.Seed
        let internet = Internet(seed, { NetworkConfig.openInternet with Path = scenario.Path }, watcher)
        let server = PunchScenario.addServer internet (Keyed.mix (seed + 1UL))
        let a = addIPv6Only internet scenario (Keyed.mix (seed + 2UL))
        let struct (b, _) = PunchScenario.addPeer internet scenario.B 2 7002us (Keyed.mix (seed + 3UL))
        a.IsChecked <- isChecked
        b.IsChecked <- isChecked
        if scenario.IsKnown then a.Tell(internet, Event.Nat64 [| scenario.Prefix |])

        let ask (host: NodeHost) named =
            let hosts = Array.append host.Sockets named

            let plan =
                { PunchScenario.planOf [| server.Sockets[0] |] (Owned(Array.create 32 7uy)) hosts with
                    Timeout = Time.seconds 20 }

            host.Tell(internet, Event.Meet(1, plan))

        ask a [||]
        internet.RunUntil(internet.Now + scenario.Late)
        ask b scenario.Named
        let limit = internet.Now + Time.seconds 60
        let isOpen (host: NodeHost) = host.Opened > 0

        while not (isOpen a && isOpen b) && internet.Advance limit do
            ()

        internet.RunUntil(internet.Now + Time.seconds 1)

        { A = List.ofSeq a.Punched
          B = List.ofSeq b.Punched
          IsUsable = isOpen a && isOpen b
          Hash = internet.Hash }

    let run (scenario: Nat64Scenario) : DualStackOutcome = runWith false Unchecked.defaultof<IInternetWatcher> scenario

    let runWatched (watcher: IInternetWatcher) (scenario: Nat64Scenario) : DualStackOutcome =
        runWith false watcher scenario

    /// Like `run`, but checks the node's laws after every step and replaces every node by what its snapshot restores.
    let runChecked (scenario: Nat64Scenario) : DualStackOutcome =
        runWith true Unchecked.defaultof<IInternetWatcher> scenario
