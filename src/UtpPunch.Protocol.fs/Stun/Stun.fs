namespace UtpPunch.Protocol

open System
open System.Buffers.Binary
open System.Security.Cryptography
open System.Text

[<Struct; NoComparison>]
type internal StunId = { First: uint32; Middle: uint32; Last: uint32 }

type internal StunClass =
    | Request = 0uy
    | Indication = 1uy
    | Success = 2uy
    | Error = 3uy

[<NoComparison; RequireQualifiedAccess>]
type internal StunAttribute =
    | MappedAddress of endpoint: Endpoint
    | XorMappedAddress of endpoint: Endpoint
    | ErrorCode of code: int * reason: string
    | UnknownAttributes of kinds: uint16[]
    | Software of name: string
    | ChangeRequest of address: bool * port: bool
    | ResponseOrigin of endpoint: Endpoint
    | OtherAddress of endpoint: Endpoint
    | ResponsePort of port: uint16
    | Padding of length: int
    | Other of kind: uint16 * value: Borrowed

[<NoComparison>]
type internal StunMessage = { Class: StunClass; Method: uint16; Id: StunId; Attributes: StunAttribute[] }

type internal StunMalformed =
    | None = 0
    | Foreign = 1
    | Attribute = 2
    | Value = 3
    | Fingerprint = 4

[<Struct; RequireQualifiedAccess>]
type internal StunIntegrity =
    | Absent
    | Proven
    | Forged

/// The attributes by their numbers (RFC 8489, 18.3; RFC 5780, 7).
module private StunKind =
    [<Literal>]
    let MappedAddress = 0x0001us

    [<Literal>]
    let ChangeRequest = 0x0003us

    [<Literal>]
    let Integrity = 0x0008us

    [<Literal>]
    let ErrorCode = 0x0009us

    [<Literal>]
    let UnknownAttributes = 0x000Aus

    [<Literal>]
    let IntegritySha256 = 0x001Cus

    [<Literal>]
    let XorMappedAddress = 0x0020us

    [<Literal>]
    let Padding = 0x0026us

    [<Literal>]
    let ResponsePort = 0x0027us

    [<Literal>]
    let Software = 0x8022us

    [<Literal>]
    let Fingerprint = 0x8028us

    [<Literal>]
    let ResponseOrigin = 0x802Bus

    [<Literal>]
    let OtherAddress = 0x802Cus

    /// USERNAME, REALM, NONCE, PASSWORD-ALGORITHM, USERHASH: ignored, since no credentials are asked for.
    let credentials = [| 0x0006us; 0x0014us; 0x0015us; 0x001Dus; 0x001Eus |]

/// The CRC-32 of ITU V.42, which a FINGERPRINT is made of (RFC 8489, 14.7).
module private Crc32 =
    let private table =
        Array.init 256 (fun index ->
            let mutable value = uint32 index

            for _ in 1..8 do
                value <- if value &&& 1u = 0u then value >>> 1 else (value >>> 1) ^^^ 0xEDB88320u

            value)

    let ofBytes (bytes: ReadOnlySpan<byte>) =
        let mutable crc = ~~~0u

        for value in bytes do
            crc <- table[int (byte crc ^^^ value)] ^^^ (crc >>> 8)

        ~~~crc

// type 2 (00, method and class interleaved) | length 2 | cookie 4 | id 12 | attributes: kind 2, length 2, value, padding to 4
module internal Stun =
    [<Literal>]
    let HeaderLength = 20

    [<Literal>]
    let Binding = 1us

    [<Literal>]
    let private Cookie = 0x2112A442u

    /// RFC 8489, 14.7.
    [<Literal>]
    let private FingerprintMask = 0x5354554Eu

    /// RFC 8489, 14.8 and 14.14: fewer than 128 characters, which can be as long as 763 bytes.
    [<Literal>]
    let private LongestText = 763

    let private short (bytes: Borrowed) at = BinaryPrimitives.ReadUInt16BigEndian(bytes.Span.Slice at)
    let private word (bytes: Borrowed) at = BinaryPrimitives.ReadUInt32BigEndian(bytes.Span.Slice at)
    let private padded length = (length + 3) &&& ~~~3

    let looksLike (datagram: Borrowed) =
        let length = datagram.Length

        length >= HeaderLength
        && length % 4 = 0
        && datagram.Span[0] < 0x40uy
        && word datagram 4 = Cookie
        && HeaderLength + int (short datagram 2) = length

    let idOf (datagram: Borrowed) = { First = word datagram 8; Middle = word datagram 12; Last = word datagram 16 }

    /// The mask of the XOR- addresses: the cookie and the id.
    let private maskOf id =
        struct (uint64 Cookie <<< 32 ||| uint64 id.First, uint64 id.Middle <<< 32 ||| uint64 id.Last)

    let private unmasked = struct (0UL, 0UL)

    // reserved 1 | family 1 | port 2 | address 4 or 16
    let private readEndpoint (struct (high, low): struct (uint64 * uint64)) (value: Borrowed) : Endpoint voption =
        let family = if value.Length >= 4 then value.Span[1] else 0uy

        if family = 1uy && value.Length = 8 then
            let port = short value 2 ^^^ uint16 (high >>> 48)
            ValueSome(Endpoint.ofIPv4 (word value 4 ^^^ uint32 (high >>> 32)) port)
        elif family = 2uy && value.Length = 20 then
            let high' = BinaryPrimitives.ReadUInt64BigEndian(value.Span.Slice 4) ^^^ high
            let low' = BinaryPrimitives.ReadUInt64BigEndian(value.Span.Slice 12) ^^^ low
            ValueSome(Endpoint.ofIPv6 high' low' (short value 2 ^^^ uint16 (high >>> 48)))
        else
            ValueNone

    let private writeEndpoint (struct (high, low): struct (uint64 * uint64)) (endpoint: Endpoint) =
        let isIPv4 = Endpoint.isIPv4 endpoint
        let value: byte[] = Array.zeroCreate (if isIPv4 then 8 else 20)
        value[1] <- if isIPv4 then 1uy else 2uy
        BinaryPrimitives.WriteUInt16BigEndian(value.AsSpan 2, endpoint.Port ^^^ uint16 (high >>> 48))

        if isIPv4 then
            BinaryPrimitives.WriteUInt32BigEndian(value.AsSpan 4, uint32 endpoint.Low ^^^ uint32 (high >>> 32))
        else
            BinaryPrimitives.WriteUInt64BigEndian(value.AsSpan 4, endpoint.High ^^^ high)
            BinaryPrimitives.WriteUInt64BigEndian(value.AsSpan 12, endpoint.Low ^^^ low)

        value

    let private readText (value: Borrowed) =
        if value.Length > LongestText then
            ValueNone
        else
            ValueSome(Encoding.UTF8.GetString value.Span)

    let private writeText (text: string) =
        let value = Encoding.UTF8.GetBytes text

        if value.Length > LongestText then
            invalidArg (nameof text) ("A text in STUN has at most " + LongestText.ToString() + " bytes.")

        value

    let private readErrorCode (value: Borrowed) =
        // reserved 21 bits | class 3 bits | number 8 bits | reason
        let hundreds = if value.Length >= 4 then int (value.Span[2] &&& 7uy) else 0

        if hundreds < 3 || hundreds > 6 || value.Span[3] > 99uy then
            ValueNone
        else
            let code = 100 * hundreds + int value.Span[3]
            readText (value.Skip 4) |> ValueOption.map (fun reason -> StunAttribute.ErrorCode(code, reason))

    let private writeErrorCode code reason =
        if code < 300 || code > 699 then
            invalidArg (nameof code) "An error code in STUN lies between 300 and 699."

        Array.append [| 0uy; 0uy; byte (code / 100); byte (code % 100) |] (writeText reason)

    let private readAttribute id kind (value: Borrowed) : StunAttribute voption =
        match kind with
        | StunKind.MappedAddress -> readEndpoint unmasked value |> ValueOption.map StunAttribute.MappedAddress
        | StunKind.XorMappedAddress -> readEndpoint (maskOf id) value |> ValueOption.map StunAttribute.XorMappedAddress
        | StunKind.ResponseOrigin -> readEndpoint unmasked value |> ValueOption.map StunAttribute.ResponseOrigin
        | StunKind.OtherAddress -> readEndpoint unmasked value |> ValueOption.map StunAttribute.OtherAddress
        | StunKind.ErrorCode -> readErrorCode value
        | StunKind.Software -> readText value |> ValueOption.map StunAttribute.Software
        | StunKind.UnknownAttributes when value.Length % 2 = 0 ->
            ValueSome(StunAttribute.UnknownAttributes(Array.init (value.Length / 2) (fun i -> short value (2 * i))))
        | StunKind.ChangeRequest when value.Length = 4 ->
            let flags = word value 0
            ValueSome(StunAttribute.ChangeRequest(flags &&& 4u <> 0u, flags &&& 2u <> 0u))
        | StunKind.Padding -> ValueSome(StunAttribute.Padding value.Length)
        // Followed by two bytes of padding, which coturn counts in.
        | StunKind.ResponsePort when value.Length = 2 || value.Length = 4 ->
            ValueSome(StunAttribute.ResponsePort(short value 0))
        | StunKind.UnknownAttributes
        | StunKind.ChangeRequest
        | StunKind.ResponsePort -> ValueNone
        | other -> ValueSome(StunAttribute.Other(other, value))

    let private writeAttribute id attribute : struct (uint16 * byte[]) =
        match attribute with
        | StunAttribute.MappedAddress endpoint -> StunKind.MappedAddress, writeEndpoint unmasked endpoint
        | StunAttribute.XorMappedAddress endpoint -> StunKind.XorMappedAddress, writeEndpoint (maskOf id) endpoint
        | StunAttribute.ResponseOrigin endpoint -> StunKind.ResponseOrigin, writeEndpoint unmasked endpoint
        | StunAttribute.OtherAddress endpoint -> StunKind.OtherAddress, writeEndpoint unmasked endpoint
        | StunAttribute.ErrorCode(code, reason) -> StunKind.ErrorCode, writeErrorCode code reason
        | StunAttribute.Software name -> StunKind.Software, writeText name
        | StunAttribute.UnknownAttributes kinds ->
            StunKind.UnknownAttributes, kinds |> Array.collect (fun kind -> [| byte (kind >>> 8); byte kind |])
        | StunAttribute.ChangeRequest(address, port) ->
            let flags = (if address then 4uy else 0uy) ||| (if port then 2uy else 0uy)
            StunKind.ChangeRequest, [| 0uy; 0uy; 0uy; flags |]
        | StunAttribute.ResponsePort port -> StunKind.ResponsePort, [| byte (port >>> 8); byte port; 0uy; 0uy |]
        | StunAttribute.Padding length -> StunKind.Padding, Array.zeroCreate length
        | StunAttribute.Other(kind, value) -> kind, value.Span.ToArray()

    /// The CRC of the message without its last eight bytes, which are the FINGERPRINT itself.
    let private fingerprint (message: ReadOnlySpan<byte>) =
        Crc32.ofBytes (message.Slice(0, message.Length - 8)) ^^^ FingerprintMask

    let isFingerprinted (message: Borrowed) =
        message.Length >= HeaderLength + 8
        && word message (message.Length - 8) = (uint32 StunKind.Fingerprint <<< 16 ||| 4u)

    // RFC 8489, 14.6: the longer one "MUST be at least 16 bytes", and a multiple of 4.
    let private isHmacLength kind length =
        if kind = StunKind.Integrity then
            length = 20
        else
            length >= 16 && length <= 32 && length % 4 = 0

    let decode (datagram: Borrowed) (message: outref<StunMessage>) =
        message <- Unchecked.defaultof<StunMessage>

        if not (looksLike datagram) then
            StunMalformed.Foreign
        else
            let id = idOf datagram
            let attributes = ResizeArray<StunAttribute>()
            let mutable malformed = StunMalformed.None
            let mutable isProtected = false
            let mutable position = HeaderLength

            // The length is a multiple of four, so an attribute's header and its padding are within the datagram.
            while malformed = StunMalformed.None && position < datagram.Length do
                let kind = short datagram position
                let length = int (short datagram (position + 2))

                if position + 4 + length > datagram.Length then
                    malformed <- StunMalformed.Attribute
                elif kind = StunKind.Fingerprint then
                    let isEnd = length = 4 && position + 8 = datagram.Length

                    if not isEnd || word datagram (position + 4) <> fingerprint datagram.Span then
                        malformed <- StunMalformed.Fingerprint
                elif kind = StunKind.Integrity || kind = StunKind.IntegritySha256 then
                    isProtected <- true
                    if not (isHmacLength kind length) then malformed <- StunMalformed.Value
                elif not isProtected then
                    match readAttribute id kind (datagram.Slice(position + 4, length)) with
                    | ValueSome attribute -> attributes.Add attribute
                    | ValueNone -> malformed <- StunMalformed.Value

                position <- position + 4 + padded length

            if malformed = StunMalformed.None then
                let packed = int (short datagram 0)

                message <-
                    { Class = LanguagePrimitives.EnumOfValue(byte (((packed >>> 7) &&& 2) ||| ((packed >>> 4) &&& 1)))
                      Method = uint16 (((packed >>> 2) &&& 0xF80) ||| ((packed >>> 1) &&& 0x70) ||| (packed &&& 0xF))
                      Id = id
                      Attributes = attributes.ToArray() }

            malformed

    /// A message with its header, and zeroes for the attributes.
    let private blank (packed: uint16) (id: StunId) length =
        let message: byte[] = Array.zeroCreate (HeaderLength + length)
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan 0, packed)
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan 2, uint16 length)
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan 4, Cookie)
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan 8, id.First)
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan 12, id.Middle)
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan 16, id.Last)
        message

    let private writeValue (message: byte[]) (at: int) (kind: uint16) (value: ReadOnlySpan<byte>) =
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan at, kind)
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(at + 2), uint16 value.Length)
        value.CopyTo(message.AsSpan(at + 4))

    let encode (message: StunMessage) =
        let attributes = message.Attributes |> Array.map (writeAttribute message.Id)
        let length = attributes |> Array.sumBy (fun (struct (_, value)) -> 4 + padded value.Length)

        if length > 0xFFFC then invalidArg (nameof message) "A STUN message has at most 64 KiB."

        let classBits = int (LanguagePrimitives.EnumToValue message.Class)
        let method' = int message.Method

        let packed =
            ((method' &&& 0xF80) <<< 2)
            ||| ((method' &&& 0x70) <<< 1)
            ||| (method' &&& 0xF)
            ||| ((classBits &&& 2) <<< 7)
            ||| ((classBits &&& 1) <<< 4)

        let bytes = blank (uint16 packed) message.Id length
        let mutable position = HeaderLength

        for struct (kind, value) in attributes do
            writeValue bytes position kind (ReadOnlySpan value)
            position <- position + 4 + padded value.Length

        Owned bytes

    /// The first `length` bytes, with a header whose length includes `extra` further bytes.
    let private upTo length extra (message: ReadOnlySpan<byte>) =
        let bytes: byte[] = Array.zeroCreate (length + extra)
        message.Slice(0, length).CopyTo(bytes.AsSpan())
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan 2, uint16 (length + extra - HeaderLength))
        bytes

    let private hmac kind (key: Owned) (text: ReadOnlySpan<byte>) =
        if kind = StunKind.Integrity then
            HMACSHA1.HashData(key.Span, text)
        else
            HMACSHA256.HashData(key.Span, text)

    let private withHmac kind size (key: Owned) (message: Owned) =
        let bytes = upTo message.Length (4 + size) message.Span
        writeValue bytes message.Length kind (ReadOnlySpan(hmac kind key (ReadOnlySpan(bytes, 0, message.Length))))
        Owned bytes

    let withIntegrity key message = withHmac StunKind.Integrity 20 key message
    let withIntegritySha256 key message = withHmac StunKind.IntegritySha256 32 key message

    let withFingerprint (message: Owned) =
        let bytes = upTo message.Length 8 message.Span
        let value: byte[] = Array.zeroCreate 4
        BinaryPrimitives.WriteUInt32BigEndian(value.AsSpan(), fingerprint (ReadOnlySpan bytes))
        writeValue bytes message.Length StunKind.Fingerprint (ReadOnlySpan value)
        Owned bytes

    /// Where the first attribute of this kind begins, or -1.
    let private find kind (message: Borrowed) =
        let mutable position = HeaderLength

        while position < message.Length && short message position <> kind do
            position <- position + 4 + padded (int (short message (position + 2)))

        if position < message.Length && position + 4 + int (short message (position + 2)) <= message.Length then
            position
        else
            -1

    let private checkHmac kind (key: Owned) (message: Borrowed) =
        let position = if looksLike message then find kind message else -1

        if position < 0 then
            StunIntegrity.Absent
        else
            let given = message.Slice(position + 4, int (short message (position + 2)))

            if not (isHmacLength kind given.Length) then
                StunIntegrity.Forged
            else
                // RFC 8489, 14.5: "the length … pointing to the end of the MESSAGE-INTEGRITY attribute".
                let text = upTo position (4 + given.Length) message.Span
                let wanted = hmac kind key (ReadOnlySpan(text, 0, position))

                if CryptographicOperations.FixedTimeEquals(given.Span, ReadOnlySpan(wanted, 0, given.Length)) then
                    StunIntegrity.Proven
                else
                    StunIntegrity.Forged

    let checkIntegrity key message = checkHmac StunKind.Integrity key message
    let checkIntegritySha256 key message = checkHmac StunKind.IntegritySha256 key message

    let unknownRequired (message: StunMessage) =
        let kinds = ResizeArray<uint16>()

        for attribute in message.Attributes do
            match attribute with
            | StunAttribute.Other(kind, _) when kind < 0x8000us && not (Array.contains kind StunKind.credentials) ->
                kinds.Add kind
            | _ -> ()

        kinds.ToArray()

    let mapped (message: StunMessage) =
        let mutable xored = ValueNone
        let mutable plain = ValueNone

        for attribute in message.Attributes do
            match attribute with
            | StunAttribute.XorMappedAddress endpoint when xored.IsNone -> xored <- ValueSome endpoint
            | StunAttribute.MappedAddress endpoint when plain.IsNone -> plain <- ValueSome endpoint
            | _ -> ()

        if xored.IsSome then xored else plain

    let draw random =
        let struct (first, random) = Random.next random
        let struct (middle, random) = Random.next random
        let struct (last, random) = Random.next random
        struct ({ First = first; Middle = middle; Last = last }, random)
