/// What NATs do besides mapping and filtering: expiry, port collisions, sessions of their own, hairpinning, reboots.
module UtpPunch.Sim.Tests.NatQuirks

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Punchers
open UtpPunch.Sim.Tests.NatKinds

let private kernel index =
    let struct (_, model) = NatOracle.kernel[index]
    model

let private home = kernel 0
let private clash = kernel 1
let private fullCone = kernel 2
let private symmetric = kernel 7

let private hostAt (world: Probed) number =
    let struct (host, address) = manualHostIn world.Internet world.Home
    struct (host, port number address)

let private idle (world: Probed) (time: Duration) = world.Internet.RunUntil(world.Internet.Now + time)

let private forgetful (model: NatModel) = { model with Unreplied = Time.seconds 2; Stream = Time.seconds 2 }

/// Whether the mapping survives two minutes in which only that side sends, every ten seconds, after one answer. A new mapping would
/// have another port.
let private livesBy refresh outbound inbound =
    let world =
        probed { symmetric with Refresh = refresh; Unreplied = Time.seconds 30; Stream = Time.seconds 60 }

    let struct (host, socket) = hostAt world 6001
    let outside = (seenAt world host socket world.Places[0]).Value

    for _ in 1..12 do
        idle world (Time.seconds 10)

        if outbound then host.Send(world.Internet, socket, world.Places[0])

        if inbound then world.Server.Send(world.Internet, world.Places[0], outside)

        runBriefly world.Internet

    comesIn world host world.Places[0] outside

/// Two NATs that collide, with the second side `late`: whether the pair connects with primed first probes.
let private meetsPrimed probing primed late =
    punch 3UL { probing with Interval = Time.milliseconds 50; Primed = primed } (Time.milliseconds late) clash clash

let tests =
    testList
        "NAT quirks"
        [ test
              "an expired mapping admits nothing; a new one has the same port behind a home NAT and another behind a symmetric NAT" {
              for model, keeps in [ home, true; symmetric, false ] do
                  let world = probed (forgetful model)
                  let struct (host, socket) = hostAt world 6001
                  let first = (seenAt world host socket world.Places[0]).Value
                  Expect.isTrue (comesIn world host world.Places[0] first) "at once"
                  idle world (Time.seconds 3)
                  Expect.equal (world.Nat.Sessions world.Internet.Now) 0 "no session is left"
                  Expect.isFalse (comesIn world host world.Places[0] first) "when it was idle"
                  Expect.equal ((seenAt world host socket world.Places[0]).Value = first) keeps "the port"
          }
          test "an answered session lives longer than one that is not" {
              let world = probed { home with Unreplied = Time.seconds 30; Stream = Time.seconds 120 }
              let quiet = ManualHost false
              let deaf = world.Internet.Open.NewAddress()
              world.Internet.AddHost(world.Internet.Open, [| deaf |], quiet)
              let struct (host, socket) = hostAt world 6001
              let outside = (seenAt world host socket world.Places[0]).Value
              host.Send(world.Internet, socket, port 1 deaf)
              runBriefly world.Internet
              idle world (Time.seconds 40)
              Expect.isTrue (comesIn world host world.Places[0] outside) "the session with an answer"
              quiet.Send(world.Internet, port 1 deaf, outside)
              let before = host.Inbox.Count
              runBriefly world.Internet
              Expect.equal host.Inbox.Count before "the session without an answer"
          }
          test "a mapping is refreshed only by the directions of its refresh behavior" {
              Expect.equal
                  [ for refresh in [ Refresh.Outbound; Refresh.Both; Refresh.Never ] ->
                        [ livesBy refresh true false; livesBy refresh false true ] ]
                  [ [ true; false ]; [ true; true ]; [ false; false ] ]
                  "by outbound, by inbound"
          }
          test "inbound datagrams do not refresh a mapping that only outbound ones refresh" {
              for refresh, lives in [ Refresh.Outbound, false; Refresh.Both, true ] do
                  let life = Time.seconds 30
                  let world = probed { kernel 8 with Refresh = refresh; Unreplied = life; Stream = life }
                  let struct (host, socket) = hostAt world 6001
                  let outside = (seenAt world host socket world.Places[0]).Value

                  for turn in 1..8 do
                      idle world (Time.seconds 8)
                      world.Server.Send(world.Internet, world.Places[1 + turn % 2], outside)
                      runBriefly world.Internet

                  Expect.equal (comesIn world host world.Places[1] outside) lives $"{refresh}"
          }
          test "an unanswered flow does not shorten the filter entry of an answered flow to the same address" {
              let nat =
                  Nat(
                      { kernel 3 with Unreplied = Time.seconds 30; Stream = Time.seconds 120 },
                      Endpoint.ofIPv4 1u 0us,
                      1UL
                  )

              let inside = Endpoint.ofIPv4 2u 6001us
              let outside = Endpoint.ofIPv4 1u 6001us
              let remote = Endpoint.ofIPv4 3u 1us
              let after seconds = Time.seconds seconds
              nat.Outbound(after 0, inside, remote) |> ignore
              nat.Inbound(after 1, remote, outside) |> ignore
              nat.Outbound(after 2, inside, port 2 remote) |> ignore

              for seconds, enters in [ 60, true; 200, false ] do
                  match nat.Inbound(after seconds, port seconds remote, outside) with
                  | Translation.Passed(_, target) -> Expect.equal (enters, target) (true, inside) $"after {seconds} s"
                  | Translation.Dropped _ -> Expect.isFalse enters $"after {seconds} s"
          }
          test
              "of two hosts with the same port, the second gets another outside port, the same towards all remote endpoints" {
              let world = probed home
              let struct (one, first) = hostAt world 6001
              let struct (two, second) = hostAt world 6001
              let seen host socket = [ for place in world.Places -> (seenAt world host socket place).Value.Port ]
              Expect.equal (seen one first) [ 6001us; 6001us; 6001us ] "the first"
              let others = seen two second
              Expect.equal (List.distinct others).Length 1 "the second: one port"
              Expect.notEqual others.Head 6001us "the second: not the first's"
          }
          test "an unsolicited packet occupies the port towards its sender if the NAT accepts such packets as its own" {
              for model, isTaken in [ clash, true; home, false ] do
                  let world = probed model
                  let struct (host, socket) = hostAt world 5002
                  let outside = (seenAt world host socket world.Places[0]).Value
                  Expect.isFalse (comesIn world host world.Places[2] outside) "an unsolicited packet is dropped"
                  let towards = (seenAt world host socket world.Places[2]).Value
                  Expect.equal (towards.Port <> 5002us) isTaken "towards its sender"
                  Expect.equal (seenAt world host socket world.Places[1]).Value.Port 5002us "towards others"
                  Expect.equal (comesIn world host world.Places[2] outside) (not isTaken) "by the old port"
                  Expect.isTrue (comesIn world host world.Places[2] towards) "by the new one"
          }
          test
              "a flow from outside is answered from the port that it arrived at if the NAT pins mappings, even if the mapping depends on the remote" {
              for pins in [ true; false ] do
                  let world = probed { kernel 8 with InboundPinsMapping = pins }
                  let struct (host, socket) = hostAt world 6001
                  let outside = (seenAt world host socket world.Places[0]).Value
                  Expect.isTrue (comesIn world host world.Places[2] outside) "it comes in"
                  Expect.equal ((seenAt world host socket world.Places[2]).Value = outside) pins "the answer's port"
          }
          test
              "a flow from outside that the host could not tell from another one gets another source port, and can be answered" {
              let world = probed (kernel 8)
              let struct (host, socket) = hostAt world 6001
              let outside = (seenAt world host socket world.Places[0]).Value
              let towards = (seenAt world host socket world.Places[2]).Value
              Expect.notEqual towards outside "the mapping depends on the remote"
              Expect.isTrue (comesIn world host world.Places[2] outside) "it comes in"
              let shown = host.Inbox[host.Inbox.Count - 1].From
              Expect.notEqual shown.Port world.Places[2].Port "shown"
              Expect.equal (seenAt world host socket shown) (ValueSome outside) "the answer"
          }
          test "a full table admits no new flow until an entry has expired" {
              let world = probed { home with TableSize = 2 }
              let struct (host, socket) = hostAt world 6001
              let passes place = (seenAt world host socket world.Places[place]).IsSome
              Expect.equal [ for place in 0..2 -> passes place ] [ true; true; false ] "the third flow does not fit"
              Expect.isTrue (passes 0) "an existing flow passes"
              idle world (Time.seconds 130)
              Expect.isTrue (passes 2) "later"
          }
          test "a reboot of the NAT drops all state and changes the ports" {
              for model in [ kernel 4; kernel 6; symmetric ] do
                  let world = probed { model with RebootAt = Time.seconds 20 }
                  let struct (host, socket) = hostAt world 6001
                  let outside = (seenAt world host socket world.Places[0]).Value
                  Expect.isTrue (comesIn world host world.Places[0] outside) "before"
                  world.Internet.RunUntil(Time.seconds 20)
                  Expect.isFalse (comesIn world host world.Places[0] outside) "after"
                  Expect.notEqual (seenAt world host socket world.Places[0]).Value outside "its port"
          }
          test
              "two hosts behind one NAT: hairpinning shows the private or the public endpoint, and without it nothing is forwarded" {
              for hairpin in [ Hairpin.Never; Hairpin.InternalSource; Hairpin.ExternalSource ] do
                  let world = probed { fullCone with Hairpin = hairpin }
                  let struct (one, first) = hostAt world 6001
                  let struct (two, second) = hostAt world 7002
                  let outside = [ seenAt world one first world.Places[0]; seenAt world two second world.Places[0] ]
                  let before = two.Inbox.Count
                  one.Send(world.Internet, first, outside[1].Value)
                  runBriefly world.Internet

                  let expected =
                      match hairpin with
                      | Hairpin.Never -> []
                      | Hairpin.InternalSource -> [ first ]
                      | Hairpin.ExternalSource -> [ outside[0].Value ]

                  let came = [ for index in before .. two.Inbox.Count - 1 -> two.Inbox[index].From ]
                  Expect.equal came expected $"{hairpin}"
          }
          test
              "with an external source, a filter by address and port rejects hairpinned datagrams until both hosts have sent" {
              let world = probed { home with Hairpin = Hairpin.ExternalSource }
              let struct (one, first) = hostAt world 6001
              let struct (two, second) = hostAt world 7002
              let outside = (seenAt world one first world.Places[0]).Value
              let other = (seenAt world two second world.Places[0]).Value
              let counts () = one.Inbox.Count, two.Inbox.Count
              let before = counts ()
              one.Send(world.Internet, first, other)
              runBriefly world.Internet
              Expect.equal (counts ()) before "the first is filtered"
              two.Send(world.Internet, second, outside)
              runBriefly world.Internet
              Expect.equal (counts ()) (fst before + 1, snd before) "the second's answer is let in"
          }
          test
              "without priming a collision prevents the connection if the second peer is late; k primed probes allow k intervals and a one-way delay" {
              for probing in [ naive; reflexive ] do
                  for primed in [ 0; 1; 3; 5 ] do
                      for late in [ 0; 60; 120; 200 ] do
                          let meets = meetsPrimed probing primed late
                          Expect.equal meets (primed * 50 + 20 >= late) $"{primed} primed, {late} ms late, {probing}"
          } ]
