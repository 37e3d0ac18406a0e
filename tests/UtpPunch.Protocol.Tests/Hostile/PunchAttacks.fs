/// What peers reach that are introduced to a node: whose offers are not authentic, that name addresses of others, that are never heard.
module UtpPunch.Protocol.Tests.PunchAttacks

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests
open UtpPunch.Protocol.Tests.PlayedRendezvous

let private introduced plan own (peer: Endpoint) last hosts =
    let meeting = begun plan own

    let struct (node, effects) =
        receive 2L<us> plan.Servers[0] (introduce meeting 1 peer (offerOf peer last hosts)) meeting.Node

    runFor (Time.seconds 9) 2L<us> effects node

let private ipv6 high low = Endpoint.ofIPv6 high low 5000us
let private ipv4 address = Endpoint.ofIPv4 address 5000us
let private nat64 (address: uint32) = ipv6 0x0064_FF9B_0000_0000UL (uint64 address)

/// Whether the node probes what a peer names.
let private isProbed plan own peer (named: Endpoint) =
    let struct (_, effects) = introduced plan own peer peer [ named ]
    not (sentTo named effects).IsEmpty

let private named =
    let never =
        [ "0.0.0.0", ipv4 0u
          "0.1.2.3", ipv4 0x00010203u
          "127.0.0.1", ipv4 0x7F000001u
          "127.9.9.9", ipv4 0x7F090909u
          "224.0.0.1", ipv4 0xE0000001u
          "239.255.255.250", ipv4 0xEFFFFFFAu
          "240.0.0.1", ipv4 0xF0000001u
          "255.255.255.255", ipv4 0xFFFFFFFFu
          "192.168.1.255 (the node's subnet)", ipv4 0xC0A801FFu
          "192.168.1.5 (the node itself)", ownHost
          "64:ff9b::127.0.0.1", nat64 0x7F000001u
          "64:ff9b::10.0.0.1", nat64 0x0A000001u
          "64:ff9b::255.255.255.255", nat64 0xFFFFFFFFu
          "64:ff9b:1::1", ipv6 0x0064_FF9B_0001_0000UL 1UL
          "::", ipv6 0UL 0UL
          "::1", ipv6 0UL 1UL
          "::127.0.0.1", ipv6 0UL 0x7F000001UL
          "ff02::1", ipv6 0xFF02_0000_0000_0000UL 1UL
          "198.51.100.7:53", Endpoint.ofIPv4 0xC6336407u 53us
          "198.51.100.7:0", Endpoint.ofIPv4 0xC6336407u 0us ]

    let shared =
        [ "10.0.0.7", ipv4 0x0A000007u
          "172.16.0.7", ipv4 0xAC100007u
          "172.31.255.7", ipv4 0xAC1FFF07u
          "192.168.2.7", ipv4 0xC0A80207u
          "100.64.0.7", ipv4 0x64400007u
          "169.254.1.7", ipv4 0xA9FE0107u
          "fd00::7", ipv6 0xFD00_0000_0000_0000UL 7UL
          "fe80::7", ipv6 0xFE80_0000_0000_0000UL 7UL ]

    let always =
        [ "198.51.100.7", ipv4 0xC6336407u
          "172.32.0.7", ipv4 0xAC200007u
          "100.128.0.7", ipv4 0x64800007u
          "2001:db8::7", ipv6 0x2001_0DB8_0000_0000UL 7UL
          "64:ff9b::198.51.100.7", nat64 0xC6336407u
          "192.168.1.77 (the node's subnet)", ipv4 0xC0A8014Du ]

    let sameOutside = Endpoint.withPort 4000us ownObserved
    let with' policy = { plan with PrivateAddresses = policy }

    [ for name, endpoint in never do
          test $"a peer that names {name} draws no probe to it" {
              for policy in [ PrivateAddressPolicy.Shared; PrivateAddressPolicy.Always; PrivateAddressPolicy.Never ] do
                  for peer in [ peerObserved; sameOutside ] do
                      Expect.isFalse (isProbed (with' policy) ownObserved peer endpoint) "it is probed"
          }
      for name, endpoint in shared do
          test $"{name} is probed for a peer that has the same outside address, or always, or never" {
              Expect.isFalse (isProbed plan ownObserved peerObserved endpoint) "another outside address"
              Expect.isTrue (isProbed plan ownObserved sameOutside endpoint) "the same outside address"
              Expect.isTrue (isProbed (with' PrivateAddressPolicy.Always) ownObserved peerObserved endpoint) "always"
              Expect.isFalse (isProbed (with' PrivateAddressPolicy.Never) ownObserved sameOutside endpoint) "never"
          }
      for name, endpoint in always do
          test $"{name} is probed" { Expect.isTrue (isProbed plan ownObserved peerObserved endpoint) "it is probed" }
      test "loopback addresses are probed if the rendezvous sees both peers at one" {
          let own, peer = Endpoint.ofIPv4 0x7F000001u 9000us, Endpoint.ofIPv4 0x7F000001u 4000us
          Expect.isTrue (isProbed plan own peer (ipv4 0x7F000001u)) "127.0.0.1"
          Expect.isTrue (isProbed plan own peer (ipv6 0UL 1UL)) "::1"
          Expect.isFalse (isProbed plan own peerObserved (ipv4 0x7F000001u)) "the peer is elsewhere"
          let struct (_, effects) = introduced plan ownObserved peer peer []
          Expect.isEmpty (sentTo peer effects) "a peer that the rendezvous sees at its own loopback"
      }
      test "ports are predicted for the address only that the rendezvous has observed" {
          let victim = Endpoint.ofIPv4 0xC6336407u 5000us
          let struct (_, effects) = introduced plan ownObserved peerObserved victim []

          for port in 5001us .. 5008us do
              Expect.isEmpty (sentTo (Endpoint.withPort port victim) effects) "the victim"

          let struct (_, effects) = introduced plan ownObserved peerObserved peerObserved []
          Expect.isNonEmpty (sentTo (Endpoint.withPort 4001us peerObserved) effects) "the peer"
      } ]

/// Eight addresses of victims, and a last endpoint of one.
let private victims = [ for index in 1..8 -> Endpoint.ofIPv4 (0xC6336400u + uint32 index) 5000us ]

let private isVictim (endpoint: Endpoint) =
    Endpoint.isIPv4 endpoint && uint32 endpoint.Low >>> 8 = 0xC63364u && endpoint.Port <> server.Port

/// What a peer sends to be introduced: two registrations with this offer and an acknowledgement.
let private bytesOfPeer = 128 + 67 + (offerOf peerObserved victims[0] victims).Length + 63

let private reflected =
    [ test
          "an offer that names eight addresses of others draws at most five probes to each, 20 in all of a node that stays" {
          for stays in [ false; true ] do
              let who = if stays then "a node that stays in a room" else "a node"
              let limit = if stays then 3 else 5

              let meeting = begun { plan with Stays = stays } ownObserved

              let struct (node, effects) =
                  receive
                      2L<us>
                      server
                      (introduce meeting 1 peerObserved (offerOf peerObserved victims[0] victims))
                      meeting.Node

              let struct (_, effects) = runFor (Time.seconds 20) 2L<us> effects node
              let probes = sent effects |> List.filter (fun (struct (target, _)) -> isVictim target)
              let bytes = probes |> List.sumBy (fun (struct (_, datagram)) -> datagram.Length)
              let all = sent effects |> List.filter (fun (struct (target, _)) -> not (target.Equals server))

              printfn
                  $"A7: {who}: {bytesOfPeer} bytes draw {probes.Length} probes, {bytes} bytes, to others; {all.Length} probes in all"

              for victim in victims do
                  Expect.isLessThanOrEqual (sentTo victim effects).Length limit "probes to each"

              let total = if stays then 20 else 40
              Expect.equal probes.Length total "probes in all"
              Expect.isLessThanOrEqual bytes (5 * bytesOfPeer) "the bytes that others receive"
      }
      test "however many peers are introduced, a node sends at most 250 probes per second to addresses that they name" {
          let meeting = begun { plan with Stays = true } ownObserved
          let mutable node = meeting.Node
          let mutable probes = 0
          let mutable observed = 0

          let note effects =
              for struct (target, _) in sent effects do
                  if isVictim target then probes <- probes + 1
                  elif not (target.Equals server) then observed <- observed + 1

          // A hundred per second for ten seconds, each from an address of its own.
          for index in 1..1000 do
              let now = Time.milliseconds (10 * index)

              while Node.deadline node < now do
                  let struct (next, effects) = Node.step (Node.deadline node) [||] node
                  node <- next
                  note effects

              let peer = Endpoint.ofIPv4 (0x08000000u + uint32 index) 4000us
              let struct (next, effects) = receive now server (introduce meeting index peer (offer peer victims)) node
              node <- next
              note effects

          printfn $"A7: 1000 offers in 10 s: {probes} probes to others, {observed} to the observed addresses"
          Expect.isLessThanOrEqual probes (250 + 2500) "probes"
          Expect.isGreaterThan observed 5000 "the verified addresses are probed"
      } ]

let private garbage =
    [ test "a client whose first peers' offers are not authentic avoids them and punches with the next one" {
          let meeting = begun plan ownObserved
          let mutable node = meeting.Node

          let attackers = [ for index in 1..5 -> Endpoint.ofIPv4 0x08080808u (uint16 (6000 + index)) ]

          for index, attacker in List.indexed attackers do
              let now = Time.milliseconds (100 * (index + 1))

              let struct (next, effects) =
                  receive now server (introduce meeting index attacker (Array.zeroCreate 80)) node

              node <- next
              Expect.isEmpty (reports effects) "results"
              Expect.contains effects (Effect.Noted(Rule.OfferRejected, attacker)) "the rule"
              let registration = sentTo server effects |> List.find (fun it -> it[4] = 1uy)
              let at = 65 + 256 * int registration[63] + int registration[64]

              // From the third endpoint of an address on, all of its ports are avoided.
              let expected =
                  if index < 2 then
                      attackers |> List.truncate (index + 1) |> List.rev
                  else
                      [ Endpoint.withPort 0us attacker ]

              Expect.equal registration[at] (byte expected.Length) "the number of endpoints to avoid"

              Expect.equal
                  registration[at + 1 .. at + 18 * expected.Length]
                  (Array.collect written (Array.ofList expected))
                  "they"

          let now = Time.milliseconds 1000

          let struct (_, effects) =
              receive now server (introduce meeting 99 peerObserved (offer peerObserved [])) node

          Expect.isNonEmpty (sentTo peerObserved effects) "the peer is probed"
      }
      test "a punch that has heard nothing returns to the room until the meeting's time is over, and is then the result" {
          let meeting = begun plan ownObserved

          let struct (node, effects) =
              receive 2L<us> server (introduce meeting 1 peerObserved (offer peerObserved [])) meeting.Node

          let struct (node, effects) = runFor (Time.seconds 14) 2L<us> effects node
          Expect.isEmpty (reports effects) "results after the punch"
          Expect.isGreaterThan (sentTo server effects).Length 1 "the client registers"
          let struct (_, effects) = runFor (Time.seconds 60) (Time.seconds 15) [||] node

          match reports effects with
          | [ report ] ->
              Expect.equal report.Stage PunchStage.NothingHeard "the result"
              Expect.equal report.PeerObserved (ValueSome peerObserved) "the peer"
              Expect.isLessThan report.Elapsed (Time.seconds 14) "the time of the punch"
          | other -> failtest $"%A{other}"
      }
      test "a repeated introduction neither ends a meeting nor keeps it from its result" {
          let meeting = begun plan ownObserved
          let first = introduce meeting 1 peerObserved (offer peerObserved [])
          let struct (node, effects) = receive 2L<us> server first meeting.Node
          let struct (node, _) = runFor (Time.seconds 14) 2L<us> effects node
          // After another one, so that it is not the last one.
          let struct (node, _) =
              receive (Time.seconds 15) server (introduce meeting 2 peerObserved [| 0uy |]) node

          let struct (node, effects) = receive (Time.seconds 16) server first node
          Expect.isEmpty (reports effects) "results"
          let struct (_, effects) = runFor (Time.seconds 60) (Time.seconds 16) [||] node
          Expect.hasLength (reports effects) 1 "results in the end"
      }
      test "a meeting that is cancelled after its client has returned has one result" {
          let meeting = begun plan ownObserved

          let struct (node, effects) =
              receive 2L<us> server (introduce meeting 1 peerObserved (offer peerObserved [])) meeting.Node

          let struct (node, _) = runFor (Time.seconds 14) 2L<us> effects node
          let struct (node, effects) = Node.step (Time.seconds 20) [| Event.Cancel 1 |] node
          Expect.equal [ for report in reports effects -> report.Stage ] [ PunchStage.Cancelled ] "the result"
          let struct (_, effects) = runFor (Time.seconds 100) (Time.seconds 20) [||] node
          Expect.isEmpty (reports effects) "further results"
      }
      test "a node that stays serves other peers although hundreds per second are never heard" {
          // A punch lasts for 14 s: so long does it take until as many end as begin. At 400 per second the table would be full in three.
          for rate, sources, seconds in [ 80, 1, 8; 80, 4000, 16; 400, 4000, 6 ] do
              let meeting = begun { plan with Stays = true } ownObserved
              let nonce = ownNonce meeting
              let mutable node = meeting.Node
              let mutable served = 0
              let pause = 1_000_000 / rate

              for index in 1 .. seconds * rate do
                  let now = Time.microseconds (int64 (index * pause))

                  while Node.deadline node < now do
                      let struct (next, _) = Node.step (Node.deadline node) [||] node
                      node <- next

                  let peer = Endpoint.ofIPv4 (0x08000000u + uint32 (index % sources)) (uint16 (2000 + index / sources))
                  let struct (next, _) = receive now server (introduce meeting index peer (offer peer victims)) node
                  node <- next

                  // An honest peer each second: its first packet arrives after 300 ms.
                  if index % rate = 0 then
                      let honest = Endpoint.ofIPv4 (0x09000000u + uint32 index) 4000us

                      let struct (next, _) =
                          receive now server (introduce meeting (-index) honest (offer honest [])) node

                      node <- next

                  if index % rate = 3 * rate / 10 && index > rate then
                      let asked = index - index % rate
                      let honest = Endpoint.ofIPv4 (0x09000000u + uint32 asked) 4000us
                      let key = Secret.punchKey room (introduction -asked) nonce peerNonce

                      let struct (next, effects) =
                          receive now honest (Secret.probe key 0 false 1u 0u (written ownObserved)) node

                      node <- next
                      if not (sentTo honest effects).IsEmpty then served <- served + 1

              printfn $"A8: {rate}/s from {sources} addresses: {served} of {seconds - 1} honest peers served"
              Expect.equal served (seconds - 1) "honest peers"
      } ]

let private crowded =
    [ test "a forged packet takes as long at a node with a thousand punches as with ten" {
          let cost count =
              let meeting = begun { plan with Stays = true } ownObserved
              let nonce = ownNonce meeting
              let mutable node = meeting.Node

              for index in 1..count do
                  let now = Time.microseconds (int64 index)
                  let peer = Endpoint.ofIPv4 (0x08000000u + uint32 index) 4000us
                  let struct (next, _) = receive now server (introduce meeting index peer (offer peer [])) node
                  let key = Secret.punchKey room (introduction index) nonce peerNonce
                  let struct (next, _) = receive now peer (Secret.probe key 0 false 1u 0u (written ownObserved)) next
                  node <- next

              let key = Secret.punchKey room (introduction 1) nonce peerNonce
              let forged = Secret.probe key 0 false 2u 0u (written ownObserved)
              forged[forged.Length - 1] <- forged[forged.Length - 1] ^^^ 1uy
              let now = Time.milliseconds 5
              let struct (node, _) = Node.step now [||] node
              let stranger = Endpoint.ofIPv4 0x08000001u 4000us

              let run () =
                  let clock = Diagnostics.Stopwatch.StartNew()

                  for _ in 1..2000 do
                      receive now stranger forged node |> ignore

                  clock.Elapsed.TotalMicroseconds / 2000.0

              List.min [ for _ in 1..5 -> run () ]

          let few, many = cost 10, cost 1000
          printfn $"A5: a forged packet: {few:F2} us with ten punches, {many:F2} us with a thousand"
          Expect.isLessThan many (3.0 * few + 3.0) "microseconds"
      } ]

let tests = testList "attacks on punches" (named @ reflected @ garbage @ crowded)
