/// A node at a rendezvous that the test plays, and a peer that it introduces: its messages are written from the protocol's description.
module UtpPunch.Protocol.Tests.PlayedRendezvous

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests

let room = Array.init 32 (fun index -> byte (200 - index))
let server = Endpoint.ofIPv4 0xC6336401u 3000us
let ownObserved = Endpoint.ofIPv4 0xCB007109u 9000us
let ownHost = Endpoint.ofIPv4 0xC0A80105u 9000us
let peerObserved = Endpoint.ofIPv4 0xCB007163u 4000us

let plan = PunchScenario.planOf [| server |] (Owned room) [| ownHost |]

let number size (value: uint64) = Array.init size (fun index -> byte (value >>> (8 * (size - 1 - index))))

let written (endpoint: Endpoint) =
    Array.concat [ number 8 endpoint.High; number 8 endpoint.Low; number 2 (uint64 endpoint.Port) ]

let receive now (from: Endpoint) (datagram: byte[]) node =
    Node.step now [| Event.Received(from, Datagrams.One(Borrowed datagram, now)) |] node

let sent (effects: Effect[]) =
    [ for effect in effects do
          match effect with
          | Effect.SendDatagram(target, datagram, _) -> struct (target, datagram.Span.ToArray())
          | _ -> () ]

let sentTo (remote: Endpoint) effects =
    [ for struct (target, datagram) in sent effects do
          if target.Equals remote then datagram ]

let reports (effects: Effect[]) =
    [ for effect in effects do
          match effect with
          | Effect.Punched(_, report) -> report
          | _ -> () ]

/// A node at a rendezvous that the test plays.
[<NoComparison; NoEquality>]
type Meeting = { Node: Node; Registration: byte[]; Handle: byte[] }

let begun (plan: MeetPlan) (observed: Endpoint) : Meeting =
    let node = Node.create NodeOptions.standard (Owned(Array.init 32 byte)) 0L<us>
    let struct (node, effects) = Node.step 0L<us> [| Event.Meet(1, plan) |] node
    let first = List.exactlyOne (sentTo plan.Servers[0] effects)
    let handle = first[5..12]

    let challenge =
        Array.concat [ "UPN1"B; [| 0x81uy |]; handle; first[61..61]; Array.create 16 7uy; written observed; [| 0uy |] ]

    let struct (node, effects) = receive 1L<us> plan.Servers[0] challenge node
    { Node = node; Registration = List.exactlyOne (sentTo plan.Servers[0] effects); Handle = handle }

let ownNonce (meeting: Meeting) =
    let length = 256 * int meeting.Registration[63] + int meeting.Registration[64]
    (Secret.unseal room meeting.Registration[65 .. 64 + length])[5..20]

let peerNonce = Array.init 16 (fun index -> byte (3 * index))
/// Differs from every peer that a node draws, and is higher.
let peerName = Array.create 16 0xFFuy
let introduction (index: int) = Array.append (number 8 0x1DUL) (number 8 (uint64 index))

/// An offer that predicts ports after `last` and names hosts.
let offerOf (observed: Endpoint) (last: Endpoint) (hosts: Endpoint list) =
    Array.concat
        [ "UPN1"B
          [| 1uy |]
          peerNonce
          [| 0uy; 2uy; 0uy; 1uy |]
          written observed
          written last
          [| byte hosts.Length |]
          Array.collect written (Array.ofList hosts) ]
    |> Secret.seal room (Array.init 12 byte)

let offer (observed: Endpoint) hosts = offerOf observed observed hosts

let introduce (meeting: Meeting) index (observed: Endpoint) (offer: byte[]) =
    Array.concat
        [ "UPN1"B
          [| 0x84uy |]
          meeting.Handle
          introduction index
          peerName
          written observed
          number 2 (uint64 offer.Length)
          offer ]

/// Introduces a peer, lets the time pass, and returns all that was sent, and the results.
let runFor (duration: Duration) (start: Instant) (effects: Effect[]) (node: Node) =
    let mutable node = node
    let all = ResizeArray<Effect> effects

    while Node.deadline node <= start + duration do
        let struct (next, effects) = Node.step (Node.deadline node) [||] node
        node <- next
        all.AddRange effects

    struct (node, all.ToArray())
