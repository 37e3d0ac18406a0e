/// Networks that users have, as docs/paths.md lists them: what connects there, what does not, and how a failure is told.
module UtpPunch.Sim.Tests.FieldTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

let private home = NatOracle.models[0]
let private symmetric = NatOracle.models[7]
let private mapper = { home with Mapper = true }
let private plain = PunchScenario.between [] []

/// A peer, and the hosts that it offers.
[<NoComparison; NoEquality>]
type private Peer = { Host: NodeHost; Offered: Endpoint[] }

let private addPeer (internet: Internet) realm port seed : Peer =
    let host = PunchScenario.addHost internet realm port seed
    { Host = host; Offered = [| host.Socket |] }

/// Lets two peers meet, and gives them 20 s.
let private meet (internet: Internet) change (peers: Peer list) =
    let server = PunchScenario.addServer internet 77UL

    for peer in peers do
        let plan = PunchScenario.plan plain server.Sockets[0] peer.Offered
        peer.Host.Tell(internet, Event.Meet(1, change plan))

    internet.RunUntil(internet.Now + Time.seconds 20)

let private isOpen (peer: Peer) = peer.Host.Opened > 0

let private stages (peers: Peer list) =
    [ for peer in peers do
          for report in peer.Host.Punched -> report.Stage ]

let private failed = [ PunchStage.NothingHeard; PunchStage.NotHeard ]

let private behind (internet: Internet) (chain: NatModel list) number port =
    let struct (realm, nats) = PunchScenario.home internet number chain
    struct (addPeer internet realm port (uint64 number), realm, nats)

/// Two homes behind one carrier's NAT.
let private inOneCarrier (internet: Internet) model hairpin =
    let struct (outer, _) =
        internet.Behind(internet.Open, { home with Hairpin = hairpin }, NetworkConfig.carrier 1)

    [ for number in 1..2 ->
          let struct (realm, nat) = internet.Behind(outer, model, NetworkConfig.home number)
          struct (addPeer internet realm (uint16 (6000 + number)) (uint64 number), nat) ]

/// The endpoint that the peer's router maps for it is one more host of its offer.
let private withMapping (internet: Internet) (nat: Nat) (peer: Peer) =
    match nat.Map(internet.Now, peer.Host.Socket) with
    | ValueSome mapped -> { peer with Offered = Array.append [| mapped |] peer.Offered }
    | ValueNone -> failtest "the router maps no ports"

/// Counts the datagrams to an endpoint.
[<Sealed>]
type private Count(watched: Endpoint) =
    let mutable count = 0
    member _.Value = count

    interface IInternetWatcher with
        member _.Saw(_, _, datagram, what) =
            match what with
            | DatagramEvent.Sent when datagram.Destination.Equals watched -> count <- count + 1
            | _ -> ()

/// A meeting of a peer in a home with one on the open internet, and what A writes and reads from there on.
let private talk (model: NatModel) (config: NetworkConfig) change =
    let internet = Punchers.unwatched 5UL
    let struct (realm, nat) = internet.Behind(internet.Open, model, config)
    let a = addPeer internet realm 6001us 2UL
    let b = addPeer internet internet.Open 7002us 3UL
    let keyA, keyB = Content.keyOf 5UL 0 1, Content.keyOf 5UL 0 2
    a.Host.Transfer <- Transfer(keyA, keyB, 300_000, 1_000, Time.milliseconds 50)
    b.Host.Transfer <- Transfer(keyB, keyA, 300_000, 1_000, Time.milliseconds 50)
    let server = PunchScenario.addServer internet 77UL

    for peer in [ a; b ] do
        peer.Host.Tell(internet, Event.Meet(1, change (PunchScenario.plan plain server.Sockets[0] peer.Offered)))

    internet.RunUntil(internet.Now + Time.seconds 5)
    Expect.isTrue (isOpen a && isOpen b) "a stream"
    struct (internet, realm, nat, a.Host, b.Host)

let private isWhole (hosts: NodeHost list) = hosts |> List.forall (fun host -> host.Transfer.IsDone)

let tests =
    testList
        "field"
        [ test
              "hotel: symmetric, mappings of 20 s: birthday probing connects, and an idle stream is alive after ten minutes" {
              let hotel = { symmetric with Unreplied = Time.seconds 20; Stream = Time.seconds 20 }

              let connect birthday =
                  let internet = Punchers.unwatched 3UL
                  let struct (a, _, _) = behind internet [ hotel ] 1 6001us
                  let struct (b, _, _) = behind internet [ home ] 2 7002us
                  meet internet (fun plan -> { plan with Birthday = birthday }) [ a; b ]
                  struct (internet, a, b)

              let struct (_, a, b) = connect false
              Expect.all (stages [ a; b ]) (fun stage -> List.contains stage failed) "without it, the reason is told"
              let struct (internet, a, b) = connect true
              Expect.isTrue (isOpen a && isOpen b) $"%A{stages [ a; b ]}"
              internet.RunUntil(internet.Now + Time.seconds 600)
              let struct (dials, accepts) = if a.Host.Punched[0].Dials then struct (a, b) else struct (b, a)
              dials.Host.Tell(internet, Event.Write(2, Owned [| 1uy |]))
              internet.RunUntil(internet.Now + Time.seconds 60)
              Expect.equal (a.Host.Closed + b.Host.Closed) 0 "ends that have closed"
              Expect.equal accepts.Host.Delivered 1L "bytes"
          }
          test "UDP is blocked: each peer learns that no server has answered" {
              let internet = Punchers.unwatched 4UL
              let struct (a, _, _) = behind internet [ home ] 1 6001us
              let absent = internet.Open.NewAddress() |> Endpoint.withPort 3000us
              a.Host.Tell(internet, Event.Meet(1, PunchScenario.plan plain absent a.Offered))
              internet.RunUntil(Time.seconds 8)
              Expect.equal (stages [ a ]) [ PunchStage.ServerSilent ] "the result, after 7 s"
          }
          test "a carrier's NAT and a home's on each side: they connect if all four map independently of the remote" {
              for carrier in 0..9 do
                  for own in [ 0; 7 ] do
                      let chain = [ NatOracle.models[carrier]; NatOracle.models[own] ]
                      let outcome = PunchScenario.run (PunchScenario.between chain chain)
                      let why = $"carrier {carrier}, home {own}: %A{outcome.A} %A{outcome.B}"
                      Expect.isFalse (PunchOutcome.isOneSided outcome) why
                      if carrier < 5 then Expect.equal (PunchOutcome.isMet outcome) (own = 0) why
          }
          test
              "one carrier without hairpinning: a port that one home's router maps connects, by the carrier's addresses" {
              let connect isMapped hairpin =
                  let internet = Punchers.unwatched 6UL

                  let peers =
                      [ for index, struct (peer, nat) in List.indexed (inOneCarrier internet mapper hairpin) ->
                            if isMapped && index = 0 then withMapping internet nat peer else peer ]

                  meet internet id peers
                  peers

              Expect.isTrue (connect false Hairpin.ExternalSource |> List.forall isOpen) "with hairpinning"
              let without = connect false Hairpin.Never
              Expect.all (stages without) (fun stage -> List.contains stage failed) "neither: the reason is told"
              let mapped = connect true Hairpin.Never
              Expect.isTrue (mapped |> List.forall isOpen) $"with a mapping: %A{stages mapped}"
              Expect.contains [ for peer in mapped -> peer.Host.Punched[0].Kind ] PathKind.Host "the kind of path"
          }
          test "a router that maps a port: symmetric NATs connect; a mapping behind a further NAT is no public one" {
              let connect chain =
                  let internet = Punchers.unwatched 7UL
                  let struct (a, _, nats) = behind internet chain 1 6001us
                  let struct (b, _, _) = behind internet [ symmetric ] 2 7002us
                  let a = withMapping internet (List.head nats) a
                  meet internet id [ a; b ]
                  struct (a, b)

              let struct (a, b) = connect [ { symmetric with Mapper = true } ]
              Expect.isTrue (isOpen a && isOpen b) $"one NAT: %A{stages [ a; b ]}"
              Expect.equal b.Host.Punched[0].Kind PathKind.Mapped "the kind of path"
              let struct (a, b) = connect [ home; { symmetric with Mapper = true } ]
              Expect.all (stages [ a; b ]) (fun stage -> List.contains stage failed) "two NATs"
          }
          test "phone hotspot: packets above 1420 bytes are dropped in silence: a transfer arrives without a stall" {
              let narrow =
                  { Size = 1392; From = 0L<us>; Until = Time.never; Telling = Telling.Nobody; Fragments = false }

              let config = NetworkConfig.home 1
              let config = { config with Path = { config.Path with Mtu = [ narrow ] } }
              let struct (internet, _, _, a, b) = talk home config id
              internet.RunUntil(internet.Now + Time.seconds 60)
              Expect.isTrue (isWhole [ a; b ]) "both directions"
              Expect.isLessThan (max a.Transfer.LongestGap b.Transfer.LongestGap) (Time.seconds 1) "the longest gap"
          }
          test
              "a laptop without a network for an hour, then in another one: alive if the time-out allows, else a typed end" {
              for timeout, isAlive in [ Time.seconds 7200, true; Time.seconds 180, false ] do
                  let struct (internet, _, _, a, b) =
                      talk home (NetworkConfig.home 1) (fun plan -> { plan with PathTimeout = timeout })

                  let away (realm: AddressRealm) =
                      let address = realm.NewAddress()
                      a.MoveTo(Endpoint.withPort 6001us address)
                      internet.Move(a, realm, [| address |])
                      internet.Wake a

                  away (internet.Isolated(NetworkConfig.home 3))
                  internet.RunUntil(internet.Now + Time.seconds 3600)
                  let struct (other, _) = internet.Behind(internet.Open, home, NetworkConfig.home 4)
                  away other
                  internet.RunUntil(internet.Now + Time.seconds 120)

                  if isAlive then
                      Expect.isTrue (isWhole [ a; b ]) $"%A{a.Transfer.Reason} %A{b.Transfer.Reason}"
                  else
                      for host in [ a; b ] do
                          Expect.equal host.Transfer.Reason (ValueSome CloseReason.TimedOut) "why it ended"
          }
          test "a NAT that reboots and gets another address: the stream goes on" {
              let struct (internet, realm, nat, a, b) = talk home (NetworkConfig.home 1) id
              let before = nat.Outside
              a.Transfer.Rest internet.Now
              b.Transfer.Rest internet.Now
              internet.Renumber(nat, realm)
              Expect.notEqual nat.Outside before "the address"
              internet.RunUntil(internet.Now + Time.seconds 60)
              Expect.isTrue (isWhole [ a; b ]) $"%A{a.Transfer.Reason} %A{b.Transfer.Reason}"
              Expect.isLessThan (max a.Transfer.LongestGap b.Transfer.LongestGap) (Time.seconds 4) "the longest gap"
          }
          test "a peer that was started again is found out at the next keep-alive, whichever end opened the idle stream" {
              for isOpener in [ true; false ] do
                  let internet = Punchers.unwatched 11UL
                  let a = addPeer internet internet.Open 6001us 2UL
                  let b = addPeer internet internet.Open 7002us 3UL
                  let outcome = PunchScenario.dial internet a.Host b.Host
                  Expect.isTrue outcome.IsUsable "a stream"
                  internet.RunUntil(internet.Now + Time.seconds 10)
                  let struct (stays, again) = if isOpener then struct (a, b) else struct (b, a)
                  let address = Endpoint.withPort 0us again.Host.Socket
                  internet.Move(again.Host, internet.Isolated(NetworkConfig.home 9), [| address |])
                  let fresh = NodeHost(again.Host.Socket, 99UL)
                  internet.AddHost(internet.Open, [| address |], fresh)
                  internet.RunUntil(internet.Now + Time.seconds 32)
                  Expect.equal (List.ofSeq stays.Host.Reasons) [ CloseReason.Reset ] $"why it ended, opener {isOpener}"
          }
          test "one LAN: the peers' own addresses, within 50 ms of the introduction" {
              let internet = Punchers.unwatched 8UL
              let struct (realm, _) = internet.Behind(internet.Open, home, NetworkConfig.home 1)
              let server = PunchScenario.addServer internet 1UL
              let a = PunchScenario.addHost internet realm 6001us 2UL
              let b = PunchScenario.addHost internet realm 7002us 3UL
              let outcome = PunchScenario.meet internet server plain a b
              Expect.equal outcome.A.Value.Kind PathKind.Host "the kind of path"
              Expect.isLessThan outcome.Took (Time.milliseconds 50) "the time"
          }
          test
              "two homes with the same subnet: a stranger that has the peer's address gets five probes, and nothing happens" {
              let socket = Endpoint.ofIPv4 ((NetworkConfig.home 1).First + 1u) 7002us
              let count = Count socket
              let internet = Internet(9UL, NetworkConfig.openInternet, count)
              let config = NetworkConfig.home 1
              let struct (one, _) = internet.Behind(internet.Open, home, config)
              let struct (other, _) = internet.Behind(internet.Open, home, config)
              let a = addPeer internet one 6001us 2UL
              let stranger = addPeer internet one 7002us 4UL
              other.NewAddress() |> ignore
              let b = addPeer internet other 7002us 3UL
              Expect.equal (b.Host.Socket, stranger.Host.Socket) (socket, socket) "addresses"
              meet internet id [ a; b ]
              Expect.isTrue (isOpen a && isOpen b) "the peers"
              Expect.isLessThanOrEqual count.Value 5 "datagrams to the stranger"
              Expect.equal stranger.Host.Sent 0L "its answers"
          }
          test
              "an overlay: tried where both have its addresses in one /24, or where the application allows private addresses" {
              let connect isNear policy =
                  let internet = Punchers.unwatched 10UL
                  let overlay = internet.Isolated(NetworkConfig.overlay)

                  let peers =
                      [ for number in 1..2 ->
                            let struct (realm, _) = internet.Behind(internet.Open, symmetric, NetworkConfig.home number)

                            if number = 2 && not isNear then
                                for _ in 1..1000 do
                                    overlay.NewAddress() |> ignore

                            let sockets =
                                [| realm.NewAddress(); overlay.NewAddress() |] |> Array.map (Endpoint.withPort 6001us)

                            let host = NodeHost(sockets, uint64 number)
                            internet.AddHost(realm, [| sockets[0] |], host)
                            internet.AddHost(overlay, [| sockets[1] |], host)
                            { Host = host; Offered = sockets } ]

                  meet internet (fun plan -> { plan with PrivateAddresses = policy }) peers
                  peers

              for isNear, policy, isMet in
                  [ true, PrivateAddressPolicy.Shared, true
                    false, PrivateAddressPolicy.Shared, false
                    false, PrivateAddressPolicy.Always, true
                    true, PrivateAddressPolicy.Never, false ] do
                  let peers = connect isNear policy
                  Expect.equal (List.forall isOpen peers) isMet $"near {isNear}, %A{policy}: %A{stages peers}"
          } ]
