/// The simulated internet: chains of NATs, reachability, TTL, and determinism.
module UtpPunch.Sim.Tests.InternetTests

open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Punchers
open UtpPunch.Sim.Tests.NatKinds

let private kernel index =
    let struct (_, model) = NatOracle.kernel[index]
    model

let private home = kernel 0
let private symmetric = kernel 7

/// Records the events of the last datagram, with the name of the network.
[<Sealed>]
type private Spy() =
    let seen = List<struct (string * DatagramEvent)>()
    let mutable last = 0L

    /// The events of the datagram that was sent last.
    member _.Events = [ for struct (place, what) in seen -> place, what ]

    interface IInternetWatcher with
        member _.Saw(_, place, transit, what) =
            if transit.Number > last then
                last <- transit.Number
                seen.Clear()

            if transit.Number = last then seen.Add(struct (place, what))

/// A home network, or one behind a carrier's NAT.
let private behind (internet: Internet) (chain: NatModel list) number : AddressRealm =
    let mutable realm = internet.Open

    for index, model in List.indexed chain do
        let networkConfig =
            if index = chain.Length - 1 then
                NetworkConfig.home number
            else
                NetworkConfig.carrier number

        let struct (inner, _) = internet.Behind(realm, model, networkConfig)
        realm <- inner

    realm

let private meets probing (a: NatModel list) (b: NatModel list) =
    let internet = unwatched 5UL
    let struct (_, servers) = serverAt internet 1
    punchBy internet (port 3478 servers[0]) probing 0L<us> (behind internet a 1) (behind internet b 2)

/// Two home networks behind one carrier's NAT; the server is on the open internet or in the carrier's network.
let private meetBehindCarrier carrier isNear =
    let internet = unwatched 5UL
    let struct (middle, _) = internet.Behind(internet.Open, carrier, NetworkConfig.carrier 1)
    let struct (a, _) = internet.Behind(middle, home, NetworkConfig.home 1)
    let struct (b, _) = internet.Behind(middle, home, NetworkConfig.home 2)
    let place = if isNear then middle else internet.Open
    let address = place.NewAddress()
    internet.AddHost(place, [| address |], ManualHost true)
    punchBy internet (port 3478 address) naive 0L<us> a b

/// The events of a datagram with that TTL, from behind one chain of NATs to behind another one that filters nothing.
let private eventsOf chain ttl =
    let spy = Spy()
    let internet = Internet(1UL, NetworkConfig.openInternet, spy)
    let struct (_, servers) = serverAt internet 1
    let struct (a, first) = manualHostIn internet (behind internet chain 1)
    let struct (b, second) = manualHostIn internet (behind internet [ kernel 2 ] 2)
    b.Send(internet, port 7002 second, port 3478 servers[0])
    runBriefly internet
    let outside = readEndpoint b.Inbox[0].Bytes
    a.Send(internet, port 6001 first, outside, ttl)
    runBriefly internet
    spy.Events

/// A network with loss, duplication and jitter.
let private rough =
    { NetworkConfig.openInternet with
        Path =
            { NetworkConfig.openInternet.Path with
                Loss = Loss.Each 200
                Duplication = 200
                CopiesLate = Time.milliseconds 30
                Lateness = Lateness.Uniform(Time.milliseconds 30)
                Corruption = 50
                Harm = Harm.Anywhere } }

let private roughRun seed =
    let internet = Internet(seed, rough, Unchecked.defaultof<IInternetWatcher>)
    let struct (_, servers) = serverAt internet 1
    let struct (host, address) = manualHostIn internet (behind internet [ symmetric ] 1)

    for index in 1..1000 do
        host.Send(internet, port (1000 + index) address, port 3478 servers[0])
        internet.RunUntil(internet.Now + Time.milliseconds 1)

    runBriefly internet
    struct (internet.Hash, host.Inbox.Count)

let tests =
    testList
        "simulated internet"
        [ test "a chain of NATs permits what its most restrictive NAT permits" {
              let chains = [ []; [ home ]; [ home; home ]; [ symmetric; home ]; [ home; symmetric ] ]

              let isIndependent =
                  List.forall (fun (model: NatModel) -> model.Mapping = NatBehavior.EndpointIndependent)

              for a in chains do
                  for b in chains do
                      let independent = isIndependent a && isIndependent b
                      Expect.equal (meets naive a b) independent $"{a.Length} and {b.Length} NATs, one endpoint"

                      // A public host accepts probes from any source, and answers the source of the probe.
                      let open' = a.IsEmpty || b.IsEmpty
                      Expect.equal (meets reflexive a b) (independent || open') $"{a.Length} and {b.Length}, any source"
          }
          test
              "two homes behind one carrier's NAT connect if it hairpins, or by their endpoints in the carrier's network" {
              Expect.isFalse (meetBehindCarrier home false) "public endpoints, no hairpin"

              Expect.isTrue
                  (meetBehindCarrier { home with Hairpin = Hairpin.ExternalSource } false)
                  "public endpoints, a hairpin"

              Expect.isTrue (meetBehindCarrier home true) "the carrier's endpoints, no hairpin"
              Expect.isTrue (meetBehindCarrier symmetric true) "nor does it matter what the carrier's NAT is"
          }
          test "datagrams between hosts of one home network do not pass the NAT" {
              let world = probed symmetric
              let struct (one, first) = manualHostIn world.Internet world.Home
              let struct (two, second) = manualHostIn world.Internet world.Home
              one.Send(world.Internet, port 6001 first, port 7002 second)
              runBriefly world.Internet
              Expect.equal [ for incoming in two.Inbox -> incoming.From ] [ port 6001 first ] "the private source"
              Expect.equal (world.Nat.Sessions world.Internet.Now) 0 "sessions"
          }
          test
              "a private address is unreachable outside its network, or is another host in another network that uses it too" {
              let spy = Spy()
              let internet = Internet(1UL, NetworkConfig.openInternet, spy)
              let struct (a, first) = manualHostIn internet (behind internet [ home ] 1)
              let struct (_, second) = manualHostIn internet (behind internet [ home ] 2)
              a.Send(internet, port 6001 first, port 7002 second)
              runBriefly internet

              Expect.equal
                  spy.Events
                  [ "home 1", DatagramEvent.Sent
                    "internet", DatagramEvent.WentOut
                    "internet", DatagramEvent.Dropped DropCause.NoRoute ]
                  "another network's"

              let struct (other, same) = manualHostIn internet (behind internet [ home ] 1)
              Expect.equal same first "two homes with the same addresses"
              a.Send(internet, port 6001 first, port 7002 same)
              runBriefly internet
              Expect.equal (a.Inbox.Count, other.Inbox.Count) (1, 0) "its own"
          }
          test "a datagram whose TTL expires between the NATs opens the sender's NAT and does not reach the peer's" {
              let sent = "home 1", DatagramEvent.Sent
              let out = "internet", DatagramEvent.WentOut
              let expired place = place, DatagramEvent.Dropped DropCause.Expired
              let cameIn = [ "home 2", DatagramEvent.CameIn; "home 2", DatagramEvent.Delivered ]

              for ttl, expected in
                  [ 1, [ sent; expired "home 1" ]
                    2, [ sent; out; expired "internet" ]
                    9, [ sent; out; expired "internet" ]
                    10, [ sent; out; expired "internet" ]
                    11, sent :: out :: cameIn
                    64, sent :: out :: cameIn ] do
                  Expect.equal (eventsOf [ home ] ttl) expected $"{ttl} hops, one NAT"

              let through = "carrier 1", DatagramEvent.WentOut
              // The carrier's network has a router of its own.
              for ttl, expected in
                  [ 2, [ sent; through; expired "carrier 1" ]
                    3, [ sent; through; expired "carrier 1" ]
                    4, [ sent; through; out; expired "internet" ]
                    12, [ sent; through; out; expired "internet" ]
                    13, sent :: through :: out :: cameIn ] do
                  Expect.equal (eventsOf [ home; home ] ttl) expected $"{ttl} hops, two NATs"
          }
          test "a datagram to a port without an open socket is dropped" {
              let world = probed symmetric
              let struct (host, address) = manualHostIn world.Internet world.Home

              for index in 0..255 do
                  host.Send(world.Internet, port (10_000 + index) address, world.Places[0])

              runBriefly world.Internet
              let outside = set [ for incoming in host.Inbox -> (readEndpoint incoming.Bytes).Port ]
              Expect.equal outside.Count 256 "outside ports"
              Expect.equal (set [ for incoming in host.Inbox -> incoming.Socket.Port ]).Count 256 "sockets"

              let closed =
                  { new IInternetHost with
                      member _.Step(_, _) = failtest "nothing arrives"
                      member _.Deadline = Time.never
                      member _.IsOpen _ = false }

              let spy = Spy()
              let internet = Internet(1UL, NetworkConfig.openInternet, spy)
              let place = internet.Open.NewAddress()
              internet.AddHost(internet.Open, [| place |], closed)
              let struct (sender, from) = manualHostIn internet internet.Open
              sender.Send(internet, port 1 from, port 2 place)
              runBriefly internet
              Expect.equal (List.last spy.Events) ("internet", DatagramEvent.Dropped DropCause.NoSocket) "a closed one"
          }
          test "datagrams that arrive at one instant are processed in one step" {
              let steps = List<int>()

              let counting =
                  { new IInternetHost with
                      member _.Step(_, arrived) =
                          steps.Add arrived.Length
                          [||]

                      member _.Deadline = Time.never
                      member _.IsOpen _ = true }

              let internet = unwatched 1UL
              let place = internet.Open.NewAddress()
              internet.AddHost(internet.Open, [| place |], counting)
              let struct (sender, from) = manualHostIn internet internet.Open

              for _ in 1..3 do
                  sender.Send(internet, port 1 from, port 2 place)

              runBriefly internet
              Expect.equal (List.ofSeq steps) [ 3 ] "steps"
          }
          test "the same seed gives the same internet, another seed another" {
              let one = roughRun 1UL
              Expect.equal (roughRun 1UL) one "again"
              Expect.notEqual (roughRun 2UL) one "another"
              let struct (_, answers) = one
              // Two hops with 80 % delivery each, and a fifth of the datagrams duplicated at each: 92 % of those sent.
              Expect.isTrue (answers > 820 && answers < 1020) $"{answers} answers"
          } ]
