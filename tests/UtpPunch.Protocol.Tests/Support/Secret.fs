/// What the peers of a room compute from its key, written independently from docs/punching.md, RFC 2104, RFC 5869 and
/// NIST SP 800-38D. Nothing here uses the core: equal results confirm the documents.
module UtpPunch.Protocol.Tests.Secret

open System
open System.Buffers.Binary
open System.Security.Cryptography

/// HMAC-SHA256 of a label, a zero byte and the parts.
let labelled (key: byte[]) (label: string) (parts: byte[] list) =
    HMACSHA256.HashData(key, Array.concat (Text.Encoding.ASCII.GetBytes label :: [| 0uy |] :: parts))

/// The sixteen bytes of it that follow the authenticated bytes.
let private guarded key label (body: byte[]) = Array.append body (Array.truncate 16 (labelled key label [ body ]))

/// RFC 5869: a key from a secret that need not be uniformly random.
let hkdf (secret: byte[]) (salt: byte[]) (info: byte[]) length =
    let key = HMACSHA256.HashData(salt, secret)

    let rec expand (last: byte[]) number =
        let next = HMACSHA256.HashData(key, Array.concat [ last; info; [| byte number |] ])
        if 32 * number >= length then next else Array.append next (expand next (number + 1))

    Array.truncate length (expand [||] 1)

/// NIST SP 800-38D, 6.3: the product of two blocks; bit 0 is the most significant one of byte 0.
let private multiply (left: UInt128) (right: UInt128) =
    let mutable product = UInt128.Zero
    let mutable shifted = right

    for bit in 127..-1..0 do
        if (left >>> bit) &&& UInt128.One = UInt128.One then product <- product ^^^ shifted

        let carry = shifted &&& UInt128.One
        shifted <- shifted >>> 1
        if carry = UInt128.One then shifted <- shifted ^^^ (UInt128(0xE1UL, 0UL) <<< 56)

    product

let private blocks (bytes: byte[]) =
    Array.chunkBySize 16 bytes
    |> Array.map (fun part ->
        let whole = Array.append part (Array.zeroCreate (16 - part.Length))
        BinaryPrimitives.ReadUInt128BigEndian(ReadOnlySpan whole))

let private bytesOf (block: UInt128) =
    let bytes = Array.zeroCreate<byte> 16
    BinaryPrimitives.WriteUInt128BigEndian(Span bytes, block)
    bytes

/// NIST SP 800-38D, 7.1, for nonces of 12 bytes and without additional data: the ciphertext, and its tag.
let aesGcm (key: byte[]) (nonce: byte[]) (text: byte[]) =
    use aes = Aes.Create(Key = key)
    let encrypt (block: byte[]) = aes.EncryptEcb(block, PaddingMode.None)
    let counter (number: int) = Array.append nonce [| 0uy; byte (number >>> 16); byte (number >>> 8); byte number |]

    let stream =
        Array.init ((text.Length + 15) / 16) (fun index -> encrypt (counter (index + 2))) |> Array.concat

    let sealed' = Array.mapi (fun index value -> value ^^^ stream[index]) text
    let hashKey = BinaryPrimitives.ReadUInt128BigEndian(ReadOnlySpan(encrypt (Array.zeroCreate 16)))
    let lengths = UInt128(0UL, 8UL * uint64 text.Length)

    let hash =
        Array.append (blocks sealed') [| lengths |]
        |> Array.fold (fun sum block -> multiply (sum ^^^ block) hashKey) UInt128.Zero

    sealed', Array.map2 (^^^) (bytesOf hash) (encrypt (counter 1))

let private keyOfOffers (room: byte[]) = hkdf room [||] "UtpPunch seal"B 32

/// An offer that only the room can read: the nonce, the ciphertext and the tag.
let seal (room: byte[]) (nonce: byte[]) (text: byte[]) =
    let sealed', tag = aesGcm (keyOfOffers room) nonce text
    Array.concat [ nonce; sealed'; tag ]

/// The text of a sealed offer. Fails when its tag is wrong.
let unseal (room: byte[]) (box': byte[]) =
    let nonce = box'[..11]
    // The cipher is a stream: what encrypts decrypts.
    let text, _ = aesGcm (keyOfOffers room) nonce box'[12 .. box'.Length - 17]

    if seal room nonce text <> box' then failwith "The tag is not that of the room."

    text

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
