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

    /// The key of the link between two peers whose punch has found a path.
    let link (punch: Owned) : Owned = Owned(labelled punch.Span "UtpPunch link" [])

    /// The key of the link between two nodes that have agreed on a secret.
    let agreed (secret: Owned) (opener: Borrowed) (stream: Borrowed) : Owned =
        Owned(labelled secret.Span "UtpPunch agreed" [ opener; stream ])

    /// The key of the room in which they meet again.
    let linkRoom (link: Owned) : Owned = Owned(labelled link.Span "UtpPunch link room" [])

    /// The authentication code of a message.
    let mac (key: Owned) (label: string) (message: Borrowed) : Owned =
        Owned(labelled key.Span label [ message ], 0, MacLength)

    let isEqual (claimed: Borrowed) (code: Owned) = CryptographicOperations.FixedTimeEquals(code.Span, claimed.Span)

    let isMac (key: Owned) (label: string) (message: Borrowed) (claimed: Borrowed) =
        isEqual claimed (mac key label message)

    // ---- Sealing ----

    [<Literal>]
    let private NonceLength = 12

    /// AES-256-GCM (NIST SP 800-38D) under a key that is used for nothing else. It is on every platform that .NET has sockets on;
    /// ChaCha20-Poly1305 is not.
    let private cipher (room: Owned) =
        let key = HKDF.DeriveKey(HashAlgorithmName.SHA256, room.Span.ToArray(), 32, null, "UtpPunch seal"B)

        new AesGcm(key, MacLength)

    /// The nonce, the ciphertext, and the authentication tag. A second text under the same nonce would give both texts and the key of the
    /// tags away: the caller draws twelve fresh bytes for each text.
    let seal (room: Owned) (nonce: Owned) (text: Owned) : Owned =
        let box' = Array.zeroCreate<byte>(NonceLength + text.Length + MacLength)
        nonce.Span.CopyTo(Span(box', 0, NonceLength))
        use cipher = cipher room

        cipher.Encrypt(
            nonce.Span,
            text.Span,
            Span(box', NonceLength, text.Length),
            Span(box', NonceLength + text.Length, MacLength)
        )

        Owned box'

    /// The text, unless it was not sealed with this room's key or was changed since.
    let unseal (room: Owned) (box': Borrowed) : Owned voption =
        let length = box'.Length - NonceLength - MacLength

        if length < 0 then
            ValueNone
        else
            let text = Array.zeroCreate<byte> length
            use cipher = cipher room

            try
                cipher.Decrypt(
                    box'.Slice(0, NonceLength).Span,
                    box'.Slice(NonceLength, length).Span,
                    box'.Skip(NonceLength + length).Span,
                    text
                )

                ValueSome(Owned text)
            with :? AuthenticationTagMismatchException ->
                ValueNone
