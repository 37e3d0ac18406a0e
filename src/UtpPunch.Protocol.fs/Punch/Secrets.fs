namespace UtpPunch.Protocol

open System
open System.Buffers.Binary
open System.Security.Cryptography

/// What two peers derive from a room's key. The server learns the tag only: it can neither read nor change what the peers send through it,
/// nor forge what they send to each other.
module internal Secrets =
    [<Literal>]
    let MacLength = 16

    let private labelled (key: ReadOnlySpan<byte>) (label: string) (parts: Borrowed list) : byte[] =
        use hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key)
        hash.AppendData(Array.map byte (label.ToCharArray()))
        hash.AppendData [| 0uy |]

        for part in parts do
            hash.AppendData part.Span

        hash.GetHashAndReset()

    /// The sixteen bytes that name a room at the server.
    let tag (room: Owned) : Owned = Owned(labelled room.Span "UtpPunch tag" [], 0, 16)

    /// The key of one introduction: packets of another introduction are not authentic under it.
    let punch (room: Owned) (introduction: Borrowed) (lower: Borrowed) (higher: Borrowed) : Owned =
        Owned(labelled room.Span "UtpPunch punch" [ introduction; lower; higher ])

    /// The number that the packets of an introduction carry.
    let session (key: Owned) : uint64 = BinaryPrimitives.ReadUInt64BigEndian(labelled key.Span "UtpPunch session" [])

    /// The authentication code of a message.
    let mac (key: Owned) (label: string) (message: Borrowed) : Owned =
        Owned(labelled key.Span label [ message ], 0, MacLength)

    let isEqual (claimed: Borrowed) (code: Owned) = CryptographicOperations.FixedTimeEquals(code.Span, claimed.Span)

    let isMac (key: Owned) (label: string) (message: Borrowed) (claimed: Borrowed) =
        isEqual claimed (mac key label message)

    // ---- Sealing ----

    /// ChaCha20 (RFC 8439, 2.4) under a key that is used for nothing else.
    let private stream (room: Owned) (nonce: Borrowed) (text: Borrowed) : byte[] =
        let key = Borrowed(labelled room.Span "UtpPunch seal" [])

        let words (bytes: Borrowed) =
            Array.init (bytes.Length / 4) (fun i -> BinaryPrimitives.ReadUInt32LittleEndian(bytes.Slice(4 * i, 4).Span))

        let key, nonce = words key, words nonce
        let result = text.Span.ToArray()

        for start in 0..64 .. result.Length - 1 do
            let block = Random.block key (uint32 (start / 64)) nonce

            for index in start .. min (start + 64) result.Length - 1 do
                let place = index - start
                result[index] <- result[index] ^^^ byte (block[place / 4] >>> (8 * (place % 4)))

        result

    [<Literal>]
    let private NonceLength = 12

    /// The nonce, the encrypted text, and an authentication code over both. A nonce must be used once only.
    let seal (room: Owned) (nonce: Owned) (text: Owned) : Owned =
        let sealed' = Array.append (nonce.Span.ToArray()) (stream room nonce.AsBorrowed text.AsBorrowed)
        Owned(Array.append sealed' ((mac room "UtpPunch offer" (Borrowed sealed')).Span.ToArray()))

    let unseal (room: Owned) (box': Borrowed) : Owned voption =
        let length = box'.Length - MacLength

        if length < NonceLength then
            ValueNone
        else
            let body = box'.Slice(0, length)

            if isMac room "UtpPunch offer" body (box'.Skip length) then
                ValueSome(Owned(stream room (body.Slice(0, NonceLength)) (body.Skip NonceLength)))
            else
                ValueNone
