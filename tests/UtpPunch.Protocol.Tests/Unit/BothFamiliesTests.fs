/// A rendezvous with addresses of both families: a client learns its endpoints in both, and tells the peer.
module UtpPunch.Protocol.Tests.BothFamiliesTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

let private room = Owned(Array.init 32 byte)
let private server = Endpoint.ofIPv4 0x0A000001u 4000us
let private otherServer = Endpoint.ofIPv6 0x20010DB8_00000000UL 1UL 4000us
let private observed = Endpoint.ofIPv4 0x0A000009u 5000us
let private otherObserved = Endpoint.ofIPv6 0x20010DB8_00000001UL 9UL 5000us
let private host = Endpoint.ofIPv4 0xC0A80109u 5000us

let private plan = PunchScenario.planOf [| server; otherServer |] room [| host |]

let private sent (effects: Effect[]) : (Endpoint * RendezvousMessage) list =
    [ for effect in effects do
          match effect with
          | Effect.SendDatagram(remote, datagram, _) ->
              match PunchWire.decode datagram.AsBorrowed with
              | ValueSome message -> remote, message
              | ValueNone -> ()
          | _ -> () ]

let private receive now (from: Endpoint) message node =
    let datagram = Datagrams.One((PunchWire.encode message).AsBorrowed, now)
    Node.step now [| Event.Received(from, datagram) |] node

let private hostsOf (effects: Effect[]) =
    sent effects
    |> List.pick (fun (_, message) ->
        match message with
        | RendezvousMessage.Register it when it.Offer.Length > 0 ->
            let text = Secrets.unseal room it.Offer
            Some (Offer.read text.Value.AsBorrowed).Value
        | _ -> None)

let tests =
    testList
        "both families"
        [ test "the endpoint of the other family is the first host of the offer, and does not count for the mapping" {
              let node = Node.create NodeOptions.standard (Owned(Array.init 32 byte)) 0L<us>
              let struct (node, effects) = Node.step 0L<us> [| Event.Meet(1, plan) |] node

              let handle =
                  match sent effects with
                  | (remote, RendezvousMessage.Register it) :: _ when remote.Equals server -> it.Handle
                  | other -> failtest $"the first datagram is {other.Length}"

              let cookie = (Owned(Array.create 16 1uy)).AsBorrowed
              let challenge = RendezvousMessage.Challenge(handle, 1uy, cookie, observed, [||])
              let struct (node, effects) = receive 10_000L<us> server challenge node

              match sent effects with
              | [ remote, RendezvousMessage.Observe _ ] -> Expect.isTrue (remote.Equals otherServer) "who is asked"
              | other -> failtest $"{other.Length} datagrams instead of one"

              let struct (_, effects) =
                  receive 20_000L<us> otherServer (RendezvousMessage.Observed(handle, otherObserved)) node

              let offer = hostsOf effects
              Expect.equal (List.ofArray offer.Hosts) [ otherObserved; host ] "hosts"
              Expect.equal offer.Last observed "the last endpoint of the first family"
              Expect.equal offer.Mapping PortPrediction.Unknown "one socket of the server has seen the client"
          }
          test "without an answer of the other family, the meeting goes on" {
              let node = Node.create NodeOptions.standard (Owned(Array.init 32 byte)) 0L<us>
              let struct (node, effects) = Node.step 0L<us> [| Event.Meet(1, plan) |] node

              let handle =
                  match sent effects with
                  | (_, RendezvousMessage.Register it) :: _ -> it.Handle
                  | _ -> 0UL

              let cookie = (Owned(Array.create 16 1uy)).AsBorrowed
              let challenge = RendezvousMessage.Challenge(handle, 1uy, cookie, observed, [||])
              let struct (node, _) = receive 10_000L<us> server challenge node
              let mutable node = node
              let mutable offered = ValueNone

              while offered.IsNone && Node.deadline node < Time.seconds 10 do
                  let struct (next, effects) = Node.step (Node.deadline node) [||] node
                  node <- next

                  for _, message in sent effects do
                      match message with
                      | RendezvousMessage.Register it when it.Offer.Length > 0 -> offered <- ValueSome(hostsOf effects)
                      | _ -> ()

              Expect.equal (List.ofArray offered.Value.Hosts) [ host ] "hosts"
              Expect.isLessThan (Node.deadline node) (Time.seconds 6) "within a few seconds"
          } ]
