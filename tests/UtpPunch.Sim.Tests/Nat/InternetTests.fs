/// The imagined internet itself: chains of NATs, who reaches whom, how far a datagram goes, and that a seed decides everything.
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

/// Writes down what happened to the last datagram, and where.
[<Sealed>]
type private Spy() =
    let seen = List<struct (string * Happening)>()
    let mutable last = 0L

    /// Of the last datagram that was sent.
    member _.Story = [ for struct (place, what) in seen -> place, what ]

    interface IInternetWatcher with
        member _.Saw(_, place, parcel, what) =
            if parcel.Number > last then
                last <- parcel.Number
                seen.Clear()

            if parcel.Number = last then seen.Add(struct (place, what))

/// A home, or a home behind a carrier's NAT.
let private behind (internet: Internet) (chain: NatModel list) number : Realm =
    let mutable realm = internet.Open

    for index, model in List.indexed chain do
        let ground = if index = chain.Length - 1 then Ground.home number else Ground.carrier number

        let struct (inner, _) = internet.Behind(realm, model, ground)
        realm <- inner

    realm

let private meets probing (a: NatModel list) (b: NatModel list) =
    let internet = unwatched 5UL
    let struct (_, servers) = serverAt internet 1
    punchBy internet (port 3478 servers[0]) probing 0L<us> (behind internet a 1) (behind internet b 2)

/// Two homes behind one carrier's NAT; the server stands on the open internet, or in the carrier's network.
let private meetBehindCarrier carrier isNear =
    let internet = unwatched 5UL
    let struct (middle, _) = internet.Behind(internet.Open, carrier, Ground.carrier 1)
    let struct (a, _) = internet.Behind(middle, home, Ground.home 1)
    let struct (b, _) = internet.Behind(middle, home, Ground.home 2)
    let place = if isNear then middle else internet.Open
    let address = place.NewAddress()
    internet.Settle(place, [| address |], Told true)
    punchBy internet (port 3478 address) naive 0L<us> a b

/// What becomes of a datagram with that time to live, from behind one chain to behind another that lets everything in.
let private storyOf chain ttl =
    let spy = Spy()
    let internet = Internet(1UL, Ground.openInternet, spy)
    let struct (_, servers) = serverAt internet 1
    let struct (a, first) = toldIn internet (behind internet chain 1)
    let struct (b, second) = toldIn internet (behind internet [ kernel 2 ] 2)
    b.Send(internet, port 7002 second, port 3478 servers[0])
    settle internet
    let outside = readEndpoint b.Inbox[0].Bytes
    a.Send(internet, port 6001 first, outside, ttl)
    settle internet
    spy.Story

/// A lossy, doubling, late network.
let private rough =
    { Ground.openInternet with
        Link =
            { Ground.openInternet.Link with
                Loss = 200
                Duplication = 200
                Jitter = Time.milliseconds 30
                Corruption = 50 } }

let private roughRun seed =
    let internet = Internet(seed, rough, Unchecked.defaultof<IInternetWatcher>)
    let struct (_, servers) = serverAt internet 1
    let struct (host, address) = toldIn internet (behind internet [ symmetric ] 1)

    for index in 1..1000 do
        host.Send(internet, port (1000 + index) address, port 3478 servers[0])
        internet.RunUntil(internet.Now + Time.milliseconds 1)

    settle internet
    struct (internet.Hash, host.Inbox.Count)

let tests =
    testList
        "imagined internet"
        [ test "a chain of NATs is as good as the worst of them" {
              let chains = [ []; [ home ]; [ home; home ]; [ symmetric; home ]; [ home; symmetric ] ]

              let isIndependent =
                  List.forall (fun (model: NatModel) -> model.Mapping = NatBehavior.EndpointIndependent)

              for a in chains do
                  for b in chains do
                      let independent = isIndependent a && isIndependent b
                      Expect.equal (meets naive a b) independent $"{a.Length} and {b.Length} NATs, one endpoint"

                      // A public host lets everybody in, and answers where the probe came from.
                      let open' = a.IsEmpty || b.IsEmpty
                      Expect.equal (meets reflexive a b) (independent || open') $"{a.Length} and {b.Length}, any source"
          }
          test "two homes behind one carrier's NAT need its hairpin, or the endpoints that they have within" {
              Expect.isFalse (meetBehindCarrier home false) "public endpoints, no hairpin"

              Expect.isTrue
                  (meetBehindCarrier { home with Hairpin = Hairpin.ExternalSource } false)
                  "public endpoints, a hairpin"

              Expect.isTrue (meetBehindCarrier home true) "the carrier's endpoints, no hairpin"
              Expect.isTrue (meetBehindCarrier symmetric true) "nor does it matter what the carrier's NAT is"
          }
          test "in one home datagrams go from host to host, and the NAT knows nothing of it" {
              let world = probed symmetric
              let struct (one, first) = toldIn world.Internet world.Home
              let struct (two, second) = toldIn world.Internet world.Home
              one.Send(world.Internet, port 6001 first, port 7002 second)
              settle world.Internet
              Expect.equal [ for incoming in two.Inbox -> incoming.From ] [ port 6001 first ] "the private source"
              Expect.equal (world.Nat.Sessions world.Internet.Now) 0 "sessions"
          }
          test "a private address leads nowhere outside its network, or to somebody else's host in one that has it too" {
              let spy = Spy()
              let internet = Internet(1UL, Ground.openInternet, spy)
              let struct (a, first) = toldIn internet (behind internet [ home ] 1)
              let struct (_, second) = toldIn internet (behind internet [ home ] 2)
              a.Send(internet, port 6001 first, port 7002 second)
              settle internet

              Expect.equal
                  spy.Story
                  [ "home 1", Happening.Sent
                    "internet", Happening.WentOut
                    "internet", Happening.Dropped DropCause.NoRoute ]
                  "another network's"

              let struct (other, same) = toldIn internet (behind internet [ home ] 1)
              Expect.equal same first "two homes with the same addresses"
              a.Send(internet, port 6001 first, port 7002 same)
              settle internet
              Expect.equal (a.Inbox.Count, other.Inbox.Count) (1, 0) "its own"
          }
          test
              "a datagram dies where its time to live ends: after it opened its own NAT, and before the other one looked at it" {
              let sent = "home 1", Happening.Sent
              let out = "internet", Happening.WentOut
              let expired place = place, Happening.Dropped DropCause.Expired
              let cameIn = [ "home 2", Happening.CameIn; "home 2", Happening.Delivered ]

              for ttl, story in
                  [ 1, [ sent; expired "home 1" ]
                    2, [ sent; out; expired "internet" ]
                    9, [ sent; out; expired "internet" ]
                    10, [ sent; out; expired "internet" ]
                    11, sent :: out :: cameIn
                    64, sent :: out :: cameIn ] do
                  Expect.equal (storyOf [ home ] ttl) story $"{ttl} hops, one NAT"

              let through = "carrier 1", Happening.WentOut
              // The carrier's network has a router of its own.
              for ttl, story in
                  [ 2, [ sent; through; expired "carrier 1" ]
                    3, [ sent; through; expired "carrier 1" ]
                    4, [ sent; through; out; expired "internet" ]
                    12, [ sent; through; out; expired "internet" ]
                    13, sent :: through :: out :: cameIn ] do
                  Expect.equal (storyOf [ home; home ] ttl) story $"{ttl} hops, two NATs"
          }
          test "a host has as many sockets as it opens, and what comes to another is dropped" {
              let world = probed symmetric
              let struct (host, address) = toldIn world.Internet world.Home

              for index in 0..255 do
                  host.Send(world.Internet, port (10_000 + index) address, world.Places[0])

              settle world.Internet
              let outside = set [ for incoming in host.Inbox -> (readEndpoint incoming.Bytes).Port ]
              Expect.equal outside.Count 256 "outside ports"
              Expect.equal (set [ for incoming in host.Inbox -> incoming.Socket.Port ]).Count 256 "sockets"

              let closed =
                  { new IInternetHost with
                      member _.Step(_, _) = failtest "nothing arrives"
                      member _.Deadline = Time.never
                      member _.IsOpen _ = false }

              let spy = Spy()
              let internet = Internet(1UL, Ground.openInternet, spy)
              let place = internet.Open.NewAddress()
              internet.Settle(internet.Open, [| place |], closed)
              let struct (sender, from) = toldIn internet internet.Open
              sender.Send(internet, port 1 from, port 2 place)
              settle internet
              Expect.equal (List.last spy.Story) ("internet", Happening.Dropped DropCause.NoSocket) "a closed one"
          }
          test "what arrives at one instant arrives in one step" {
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
              internet.Settle(internet.Open, [| place |], counting)
              let struct (sender, from) = toldIn internet internet.Open

              for _ in 1..3 do
                  sender.Send(internet, port 1 from, port 2 place)

              settle internet
              Expect.equal (List.ofSeq steps) [ 3 ] "steps"
          }
          test "the same seed gives the same internet, another seed another" {
              let one = roughRun 1UL
              Expect.equal (roughRun 1UL) one "again"
              Expect.notEqual (roughRun 2UL) one "another"
              let struct (_, answers) = one
              // Two crossings at 80 % each, and a fifth more for each doubling: 92 % of what was asked.
              Expect.isTrue (answers > 820 && answers < 1020) $"{answers} answers"
          } ]
