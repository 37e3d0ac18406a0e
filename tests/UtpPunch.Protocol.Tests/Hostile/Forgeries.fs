/// Packets between the peers of a room are sealed with the key of the room, and rejected if one byte was changed.
module UtpPunch.Protocol.Tests.Forgeries

open System
open System.Security.Cryptography
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests

let private room = Array.init 32 (fun index -> byte (200 - index))
let private server = Endpoint.ofIPv4 0x0A000001u 3000us
let private peer = Endpoint.ofIPv4 0x0A000002u 4000us

/// Eight addresses: an offer of a dozen blocks of AES, the last of them in part.
let private hosts =
    Array.init 8 (fun index -> Endpoint.ofIPv4 (0xC0A80001u + uint32 index) (uint16 (5000 + index)))

/// The endpoint at which the server sees the node.
let private own = Endpoint.ofIPv4 0x0A000009u 9000us

/// The peer's addresses, in other ports than the node's.
let private peerHosts = hosts |> Array.map (fun host -> Endpoint.withPort (host.Port + 100us) host)

let private plan =
    { PunchScenario.planOf [| server |] (Owned room) hosts with
        PrimingHops = 0
        PrivateAddresses = PrivateAddressPolicy.Always }

let private number size (value: uint64) = Array.init size (fun index -> byte (value >>> (8 * (size - 1 - index))))

let private written (endpoint: Endpoint) =
    Array.concat [ number 8 endpoint.High; number 8 endpoint.Low; number 2 (uint64 endpoint.Port) ]

/// Processes a datagram; returns the node afterwards, and the effects.
let private receive now (from: Endpoint) (datagram: byte[]) node =
    Node.step now [| Event.Received(from, Datagrams.One(Borrowed datagram, now)) |] node

let private sentTo (remote: Endpoint) (effects: Effect[]) =
    [ for effect in effects do
          match effect with
          | Effect.SendDatagram(target, datagram, _) when target.Equals remote -> datagram.Span.ToArray()
          | _ -> () ]

/// A node that registers at the server and has its cookie, and the registration with its offer.
let private registered () =
    let node = Node.create NodeOptions.standard (Owned(Array.init 32 byte)) 0L<us>
    let struct (node, effects) = Node.step 0L<us> [| Event.Meet(1, plan) |] node
    let first = List.exactlyOne (sentTo server effects)

    let challenge =
        Array.concat [ "UPN1"B; [| 0x81uy |]; first[5..12]; first[61..61]; Array.create 16 7uy; written own; [| 0uy |] ]

    let struct (node, effects) = receive 1L<us> server challenge node
    struct (node, List.exactlyOne (sentTo server effects))

/// The server's answer to a registration, for a minute.
let private registeredAnswer (registration: byte[]) =
    Array.concat [ "UPN1"B; [| 0x82uy |]; registration[5..12]; registration[61..61]; written own; [| 0uy; 60uy |] ]

let private handleOf (registration: byte[]) = registration[5..12]
let private peerOf (registration: byte[]) = registration[29..44]

let private offerOf (registration: byte[]) =
    let length = 256 * int registration[63] + int registration[64]
    registration[65 .. 64 + length]

/// Differs from every peer that a node draws, and is higher.
let private peerName = Array.create 16 0xFFuy
let private peerNonce = Array.init 16 (fun index -> byte (3 * index))
let private introduction = Array.init 16 (fun index -> byte (100 + index))

let private offerText =
    Array.concat
        [ "UPN1"B
          [| 1uy |]
          peerNonce
          [| 0uy; 1uy; 0uy; 0uy |]
          written peer
          written peer
          [| byte peerHosts.Length |]
          Array.collect written peerHosts ]

let private introduceFrom (observed: Endpoint) registration (offer: byte[]) =
    Array.concat
        [ "UPN1"B
          [| 0x84uy |]
          handleOf registration
          introduction
          peerName
          written observed
          number 2 (uint64 offer.Length)
          offer ]

let private introduce registration offer = introduceFrom peer registration offer

let private sealedOffer = Secret.seal room (Array.init 12 byte) offerText

/// The node has been introduced; the key of the punch.
let private introduced () =
    let struct (node, registration) = registered ()
    let ownNonce = (Secret.unseal room (offerOf registration))[5..20]
    Expect.isLessThan (peerOf registration) peerName "the node is the lower peer"
    let struct (node, effects) = receive 2L<us> server (introduce registration sealedOffer) node
    struct (node, effects, Secret.punchKey room introduction ownNonce peerNonce)

/// All effects but notes and foreign datagrams.
let private effective (effects: Effect[]) =
    effects |> Array.filter (fun effect -> not (effect.IsNoted || effect.IsForeign))

let private hasEffect effects = effective effects <> [||]

let private flipped index (datagram: byte[]) =
    let copy = Array.copy datagram
    copy[index] <- copy[index] ^^^ (1uy <<< (index % 8))
    copy

let private vectors =
    [ test "the tests' own HKDF is that of RFC 5869, A.1" {
          let key =
              Secret.hkdf
                  (Array.create 22 0x0Buy)
                  (Array.init 13 byte)
                  (Array.init 10 (fun index -> byte (0xF0 + index)))
                  42

          let expected = "3CB25F25FAACD57A90434F64D0362F2A2D2D0A90CF1A5A4C5DB02D56ECC4C5BF34007208D5B887185865"

          Expect.equal (Convert.ToHexString key) expected "the key"
      }
      test "the tests' own AES-GCM is that of NIST, on one block of zeroes" {
          // The Galois/Counter Mode of Operation (GCM), McGrew and Viega, appendix B, test case 14.
          let sealed', tag = Secret.aesGcm (Array.zeroCreate 32) (Array.zeroCreate 12) (Array.zeroCreate 16)
          Expect.equal (Convert.ToHexString sealed') "CEA7403D4D606B6E074EC5D3BAF39D18" "the ciphertext"
          Expect.equal (Convert.ToHexString tag) "D0D1C8A799996BF0265B98B5D48AB919" "the tag"
      }
      test "the tests' own AES-GCM is the platform's, for texts of up to 300 bytes" {
          for length in [ 0; 1; 15; 16; 17; 255; 256; 300 ] do
              let key, nonce = Array.init 32 (fun index -> byte (7 * index)), Array.init 12 byte
              let text = Array.init length (fun index -> byte (index * index))
              let sealed', tag = Array.zeroCreate<byte> text.Length, Array.zeroCreate<byte> 16
              use cipher = new AesGcm(key, 16)
              cipher.Encrypt(nonce, text, sealed', tag)
              Expect.equal (Secret.aesGcm key nonce text) (sealed', tag) $"{length} bytes"
      } ]

/// The stage at which the meeting of a registered node ends after an introduction with this offer, if it ends.
let private isRejected (offer: byte[]) what =
    let struct (node, registration) = registered ()
    let struct (_, effects) = receive 2L<us> server (introduce registration offer) node
    Expect.isEmpty (sentTo peerHosts[0] effects) $"{what}: nothing is probed"
    Expect.isFalse (effects |> Array.exists _.IsPunched) $"{what}: the meeting goes on"
    Expect.contains effects (Effect.Noted(Rule.OfferRejected, peer)) $"{what}: the rule"

let private offers =
    [ test "an independent implementation opens the offer that a node seals, in all of its blocks" {
          let struct (_, registration) = registered ()
          let text = Secret.unseal room (offerOf registration)
          Expect.equal text[4] 1uy "the version"
          Expect.equal text[25..60] (Array.append (written own) (written own)) "the observed endpoints"
          Expect.equal text[61] 8uy "the number of addresses"
          Expect.equal text[62..] (Array.collect written hosts) "the addresses"
          Expect.isGreaterThan text.Length 128 "more than two blocks"
      }
      test "a node opens the offer that an independent implementation seals, and its packets are those of the key" {
          let struct (_, effects, key) = introduced ()
          let packets = List.collect (fun host -> sentTo host effects) (List.ofArray peerHosts)
          Expect.hasLength packets peerHosts.Length "each address of the offer is probed"

          for packet in packets do
              let count = uint32 packet[17]
              Expect.equal packet (Secret.probe key 0 true count 0u (written Endpoint.nowhere)) "the packet"
      }
      test "no two offers of a node are sealed under one nonce" {
          let struct (node, registration) = registered ()
          let mutable node = node
          let nonces = ResizeArray [ Array.truncate 12 (offerOf registration) ]

          for second in 1..30 do
              let struct (next, effects) = Node.step (Time.seconds second) [||] node
              node <- next

              for datagram in sentTo server effects do
                  nonces.Add(Array.truncate 12 (offerOf datagram))
                  let struct (answered, _) = receive (Time.seconds second) server (registeredAnswer datagram) node
                  node <- answered

          Expect.isGreaterThan nonces.Count 5 "registrations"
          Expect.equal (nonces |> Seq.distinct |> Seq.length) nonces.Count "nonces"
      }
      test "an offer with any one byte changed is rejected" {
          for index in 0 .. sealedOffer.Length - 1 do
              isRejected (flipped index sealedOffer) $"byte {index}"
      }
      test "an offer that was cut, at either end, or grew by a byte is rejected" {
          for length in 0 .. sealedOffer.Length - 1 do
              isRejected sealedOffer[.. length - 1] $"the first {length} bytes"
              isRejected sealedOffer[length + 1 ..] $"the bytes from {length + 1}"

          isRejected (Array.append sealedOffer [| 0uy |]) "a byte more"
      }
      test "an offer that another room sealed is rejected" {
          let other = Secret.seal (Array.init 32 byte) (Array.init 12 byte) offerText
          isRejected other "another room"
      }
      test "an offer that is replayed from another address or port is rejected" {
          let struct (node, registration) = registered ()

          for elsewhere in [ Endpoint.withPort 4001us peer; Endpoint.ofIPv4 0x0A000003u 4000us ] do
              let struct (_, effects) = receive 2L<us> server (introduceFrom elsewhere registration sealedOffer) node
              Expect.contains effects (Effect.Noted(Rule.OfferRejected, elsewhere)) "the rule"
              Expect.isEmpty (sentTo peerHosts[0] effects) "nothing is probed"
      } ]

let private packets =
    [ test "a packet of a peer with any one byte changed is ignored, and the unchanged packet is still accepted" {
          let struct (node, _, key) = introduced ()
          let now = Time.milliseconds 2
          let packet kind number echo = Secret.probe key kind false number echo (written peer)
          let struct (probing, _) = Node.step (Time.milliseconds 1) [||] node
          let struct (choosing, _) = receive now peer (packet 1 1u 1u) probing

          // A question and an answer while the node probes; the peer's consent and its refusal once the node has chosen.
          for state, packet in
              [ probing, packet 0 1u 0u
                probing, packet 1 1u 1u
                choosing, packet 3 2u 0u
                choosing, packet 4 2u 0u ] do
              let struct (_, expected) = receive now peer packet state
              Expect.isTrue (hasEffect expected) $"kind {packet[4]} has an effect"

              for index in 0 .. packet.Length - 1 do
                  let struct (after, effects) = receive now peer (flipped index packet) state
                  Expect.isFalse (hasEffect effects) $"kind {packet[4]}, byte {index}"
                  let struct (_, effects) = receive now peer packet after
                  Expect.equal (effective effects) (effective expected) $"kind {packet[4]}, after byte {index}"
      }
      test "a packet of a peer that was cut or grew by a byte does nothing" {
          let struct (node, _, key) = introduced ()
          let packet = Secret.probe key 0 false 1u 0u (written peer)

          for changed in [ packet[.. packet.Length - 2]; Array.append packet [| 0uy |]; packet[1..] ] do
              let struct (_, effects) = receive (Time.milliseconds 2) peer changed node
              Expect.isFalse (hasEffect effects) $"{changed.Length} bytes"
      }
      test "a packet under the key of another introduction does nothing" {
          let struct (node, _, _) = introduced ()
          let other = Secret.punchKey room introduction peerNonce peerNonce

          let struct (_, effects) =
              receive (Time.milliseconds 2) peer (Secret.probe other 0 false 1u 0u (written peer)) node

          Expect.isFalse (hasEffect effects) "of another key"
      } ]

let private cookies =
    [ test "a cookie with any one byte changed neither registers nor removes a client" {
          let struct (it, server) =
              ScriptedRegistrant.obtainCookie
                  0L<us>
                  (ScriptedRegistrant.registrant 1 5)
                  (Rendezvous.create ScriptedRegistrant.options ScriptedRegistrant.seed 0L<us>)

          let struct (waiting, _) = ScriptedRegistrant.send 0L<us> (ScriptedRegistrant.register it) it server
          Expect.equal (Rendezvous.statistics waiting).Waiting 1 "the whole cookie registers"

          for index in 0..15 do
              let forged = { it with Cookie = flipped index it.Cookie }
              let struct (after, _) = ScriptedRegistrant.send 1L<us> (ScriptedRegistrant.register forged) it server
              Expect.equal (Rendezvous.statistics after).Waiting 0 $"byte {index} registers"
              let struct (after, _) = ScriptedRegistrant.send 1L<us> (ScriptedRegistrant.leave forged) it waiting
              Expect.equal (Rendezvous.statistics after).Waiting 1 $"byte {index} removes"

          let struct (after, _) = ScriptedRegistrant.send 1L<us> (ScriptedRegistrant.leave it) it waiting
          Expect.equal (Rendezvous.statistics after).Waiting 0 "the whole cookie removes"
      } ]

let tests = testList "forgeries" (vectors @ offers @ packets @ cookies)
