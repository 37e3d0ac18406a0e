/// What the peers of a room compute from its key, written independently from docs/punching.md, RFC 8439 and RFC 2104. Nothing here uses
/// the core: equal results confirm the documents.
module UtpPunch.Protocol.Tests.Secret

open System
open System.Buffers.Binary
open System.Numerics
open System.Security.Cryptography

/// HMAC-SHA256 of a label, a zero byte and the parts.
let labelled (key: byte[]) (label: string) (parts: byte[] list) =
    HMACSHA256.HashData(key, Array.concat (Text.Encoding.ASCII.GetBytes label :: [| 0uy |] :: parts))

/// The sixteen bytes of it that follow the authenticated bytes.
let private guarded key label (body: byte[]) = Array.append body (Array.truncate 16 (labelled key label [ body ]))

/// RFC 8439, 2.1 to 2.3: one block of key stream.
let private block (key: byte[]) (counter: uint32) (nonce: byte[]) =
    let word (bytes: byte[]) index = BinaryPrimitives.ReadUInt32LittleEndian(ReadOnlySpan(bytes, 4 * index, 4))

    let start =
        [| yield! [| 0x61707865u; 0x3320646eu; 0x79622d32u; 0x6b206574u |]
           yield! Array.init 8 (word key)
           yield counter
           yield! Array.init 3 (word nonce) |]

    let state = Array.copy start

    let quarter a b c d =
        let mix target other rotated count =
            state[target] <- state[target] + state[other]
            state[rotated] <- BitOperations.RotateLeft(state[rotated] ^^^ state[target], count)

        mix a b d 16
        mix c d b 12
        mix a b d 8
        mix c d b 7

    for _ in 1..10 do
        for column in 0..3 do
            quarter column (column + 4) (column + 8) (column + 12)

        for diagonal in 0..3 do
            quarter diagonal (4 + (diagonal + 1) % 4) (8 + (diagonal + 2) % 4) (12 + (diagonal + 3) % 4)

    let bytes = Array.zeroCreate<byte> 64

    for index in 0..15 do
        BinaryPrimitives.WriteUInt32LittleEndian(Span(bytes, 4 * index, 4), state[index] + start[index])

    bytes

/// RFC 8439, 2.4: the text with the key stream, which begins with the block of that number.
let chacha20 (key: byte[]) (counter: int) (nonce: byte[]) (text: byte[]) =
    let stream =
        Array.init ((text.Length + 63) / 64) (fun index -> block key (uint32 (counter + index)) nonce)
        |> Array.concat

    Array.mapi (fun index value -> value ^^^ stream[index]) text

/// An offer that only the room can read: the nonce, the text and a code of both.
let seal (room: byte[]) (nonce: byte[]) (text: byte[]) =
    Array.append nonce (chacha20 (labelled room "UtpPunch seal" []) 0 nonce text)
    |> guarded room "UtpPunch offer"

/// The text of a sealed offer. Fails when its code is wrong.
let unseal (room: byte[]) (box': byte[]) =
    let body = box'[.. box'.Length - 17]

    if guarded room "UtpPunch offer" body <> box' then
        failwith "The code is not that of the room."

    chacha20 (labelled room "UtpPunch seal" []) 0 body[..11] body[12..]

/// The key of one introduction: of the server's nonce, and of those of the lower and of the higher peer.
let punchKey room introduction lower higher = labelled room "UtpPunch punch" [ introduction; lower; higher ]

/// A packet of a peer to the other one.
let probe key (kind: int) isFromLower (number: uint32) (echo: uint32) (observed: byte[]) =
    let word (value: uint32) = [| for shift in [ 24; 16; 8; 0 ] -> byte (value >>> shift) |]

    Array.concat
        [ "UPN1"B
          [| byte (0x40 + kind) |]
          Array.truncate 8 (labelled key "UtpPunch session" [])
          [| (if isFromLower then 0uy else 1uy) |]
          word number
          word echo
          observed ]
    |> guarded key "UtpPunch probe"
