/// A scripted client of a rendezvous: its messages are written from the protocol's description, not with the core's encoder.
module UtpPunch.Protocol.Tests.ScriptedRegistrant

open System
open System.Buffers.Binary
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing

let private number size (value: uint64) = Array.init size (fun index -> byte (value >>> (8 * (size - 1 - index))))

let private begun kind (handle: uint64) = Array.concat [ "UPN1"B; [| kind |]; number 8 handle ]
let padded length bytes = Array.append bytes (Array.zeroCreate (max 0 (length - Array.length bytes)))

let noCookie = Array.zeroCreate<byte> 16

/// Sixteen bytes for a room or a peer.
let named (name: int) = Array.append (number 8 0xA5A5UL) (number 8 (uint64 name))

[<NoComparison; NoEquality>]
type Registrant = { Remote: Endpoint; Handle: uint64; Room: byte[]; Peer: byte[]; Stays: bool; Cookie: byte[] }

/// A registrant with a number, in a room with a number.
let registrant index room : Registrant =
    { Remote = Endpoint.ofIPv4 (0x0A000000u + uint32 index) 4000us
      Handle = Keyed.mix (uint64 index)
      Room = named room
      Peer = named (1000 + index)
      Stays = false
      Cookie = noCookie }

/// A registration that asks not to be introduced to some endpoints; port 0 stands for all ports.
let registerAvoiding (avoided: Endpoint list) (registrant: Registrant) =
    let written (endpoint: Endpoint) =
        Array.concat [ number 8 endpoint.High; number 8 endpoint.Low; number 2 (uint64 endpoint.Port) ]

    Array.concat
        [ begun 1uy registrant.Handle
          registrant.Room
          registrant.Peer
          registrant.Cookie
          [| 7uy; (if registrant.Stays then 1uy else 0uy); 0uy; 2uy |]
          [| 0xBEuy; 0xEFuy; byte avoided.Length |]
          Array.collect written (Array.ofList avoided) ]
    |> padded 128

let register (registrant: Registrant) = registerAvoiding [] registrant

let acknowledge (nonce: byte[]) roundTripMs (registrant: Registrant) =
    Array.concat
        [ begun 2uy registrant.Handle
          registrant.Room
          registrant.Cookie
          nonce
          number 2 (uint64 (int roundTripMs)) ]

/// A report of a punch: stage, kind of path, own NAT and the peer's, and the time.
let report (nonce: byte[]) (values: byte[]) (elapsedMs: int) (registrant: Registrant) =
    Array.concat
        [ begun 5uy registrant.Handle
          registrant.Room
          registrant.Cookie
          nonce
          values
          number 2 (uint64 elapsedMs) ]

let leave (registrant: Registrant) = Array.concat [ begun 3uy registrant.Handle; registrant.Room; registrant.Cookie ]
let observe (registrant: Registrant) = begun 4uy registrant.Handle |> padded 40

/// A message of the server, as far as tests need it.
[<NoComparison; RequireQualifiedAccess>]
type ServerMessage =
    | Challenge of cookie: byte[]
    | Registered
    | Observed
    | Introduce of nonce: byte[] * peer: byte[] * observedPort: int
    | Go of nonce: byte[] * waitMs: int
    | Full
    | Ping

let read (datagram: Owned) : struct (uint64 * ServerMessage) =
    let bytes = datagram.Span.ToArray()
    Expect.equal bytes[..3] "UPN1"B "the magic"
    let handle = BinaryPrimitives.ReadUInt64BigEndian(ReadOnlySpan(bytes, 5, 8))
    let two at = int bytes[at] * 256 + int bytes[at + 1]

    let message =
        match bytes[4] with
        | 0x81uy -> ServerMessage.Challenge bytes[14..29]
        | 0x82uy -> ServerMessage.Registered
        | 0x83uy -> ServerMessage.Observed
        | 0x84uy -> ServerMessage.Introduce(bytes[13..28], bytes[29..44], two 61)
        | 0x85uy -> ServerMessage.Go(bytes[13..28], two 29)
        | 0x86uy -> ServerMessage.Full
        | 0x87uy -> ServerMessage.Ping
        | kind -> failtest $"unexpected message {kind} from a server"

    struct (handle, message)

let seed = Owned(Array.init 32 byte)

let options = { Rendezvous.standard with Sockets = [| Endpoint.ofIPv4 0x01010101u 3000us |] }

let step now arrived server =
    Rendezvous.step now [| for struct (remote, bytes) in arrived -> struct (remote, Borrowed bytes) |] server

let send now bytes (registrant: Registrant) server = step now [ struct (registrant.Remote, bytes) ] server

/// The messages to a registrant, by its handle.
let messagesTo (registrant: Registrant) (sent: struct (Endpoint * Owned)[]) =
    [ for struct (remote, datagram) in sent do
          let struct (handle, message) = read datagram

          if handle = registrant.Handle then
              Expect.equal remote registrant.Remote "the destination"
              message ]

/// Obtains a cookie.
let obtainCookie now (registrant: Registrant) server : struct (Registrant * Rendezvous) =
    let struct (server, sent) = send now (register registrant) registrant server

    match messagesTo registrant sent with
    | [ ServerMessage.Challenge cookie ] -> struct ({ registrant with Cookie = cookie }, server)
    | other -> failtest $"a challenge was expected, not %A{other}"

/// The introductions among the messages.
let introductions messages =
    messages
    |> List.choose (fun it ->
        match it with
        | ServerMessage.Introduce(nonce, peer, _) -> Some struct (nonce, peer)
        | _ -> None)
