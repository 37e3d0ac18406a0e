/// A client of a rendezvous whose every byte is written by hand: what it says is what the protocol's text has, and not what the core makes.
module UtpPunch.Protocol.Tests.Guest

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
type Guest = { Remote: Endpoint; Handle: uint64; Room: byte[]; Peer: byte[]; Stays: bool; Cookie: byte[] }

/// A guest with a number, in a room with a number.
let guest index room : Guest =
    { Remote = Endpoint.ofIPv4 (0x0A000000u + uint32 index) 4000us
      Handle = Keyed.mix (uint64 index)
      Room = named room
      Peer = named (1000 + index)
      Stays = false
      Cookie = noCookie }

let register (guest: Guest) =
    Array.concat
        [ begun 1uy guest.Handle
          guest.Room
          guest.Peer
          guest.Cookie
          [| 7uy; (if guest.Stays then 1uy else 0uy); 0uy; 2uy |]
          [| 0xBEuy; 0xEFuy |] ]
    |> padded 128

let acknowledge (nonce: byte[]) roundTripMs (guest: Guest) =
    Array.concat [ begun 2uy guest.Handle; guest.Room; guest.Cookie; nonce; number 2 (uint64 (int roundTripMs)) ]

let leave (guest: Guest) = Array.concat [ begun 3uy guest.Handle; guest.Room; guest.Cookie ]
let observe (guest: Guest) = begun 4uy guest.Handle |> padded 40

/// What the server said, as far as stories need it.
[<NoComparison; RequireQualifiedAccess>]
type Said =
    | Challenge of cookie: byte[]
    | Registered
    | Observed
    | Introduce of nonce: byte[] * peer: byte[] * observedPort: int
    | Go of nonce: byte[] * waitMs: int
    | Full

let read (datagram: Owned) : struct (uint64 * Said) =
    let bytes = datagram.Span.ToArray()
    Expect.equal bytes[..3] "UPN1"B "the magic"
    let handle = BinaryPrimitives.ReadUInt64BigEndian(ReadOnlySpan(bytes, 5, 8))
    let two at = int bytes[at] * 256 + int bytes[at + 1]

    let said =
        match bytes[4] with
        | 0x81uy -> Said.Challenge bytes[14..29]
        | 0x82uy -> Said.Registered
        | 0x83uy -> Said.Observed
        | 0x84uy -> Said.Introduce(bytes[13..28], bytes[29..44], two 61)
        | 0x85uy -> Said.Go(bytes[13..28], two 29)
        | 0x86uy -> Said.Full
        | kind -> failtest $"a server does not say {kind}"

    struct (handle, said)

let seed = Owned(Array.init 32 byte)

let options = { Rendezvous.standard with Sockets = [| Endpoint.ofIPv4 0x01010101u 3000us |] }

let step now arrived server =
    Rendezvous.step now [| for struct (remote, bytes) in arrived -> struct (remote, Borrowed bytes) |] server

let say now bytes (guest: Guest) server = step now [ struct (guest.Remote, bytes) ] server

/// Whatever was said to a guest, by its handle.
let heard (guest: Guest) (sent: struct (Endpoint * Owned)[]) =
    [ for struct (remote, datagram) in sent do
          let struct (handle, said) = read datagram

          if handle = guest.Handle then
              Expect.equal remote guest.Remote "to where it came from"
              said ]

/// Gets its cookie.
let knock now (guest: Guest) server : struct (Guest * Rendezvous) =
    let struct (server, sent) = say now (register guest) guest server

    match heard guest sent with
    | [ Said.Challenge cookie ] -> struct ({ guest with Cookie = cookie }, server)
    | other -> failtest $"no challenge but %A{other}"

/// The introductions among what was said.
let introductions said =
    said
    |> List.choose (fun it ->
        match it with
        | Said.Introduce(nonce, peer, _) -> Some struct (nonce, peer)
        | _ -> None)
