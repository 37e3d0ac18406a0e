namespace UtpPunch.Protocol

open System
open System.Buffers.Binary

/// The messages between clients and a rendezvous. Their bytes are valid as long as what they were read or made from: a decoded message
/// refers to its datagram, and must not be kept.
[<RequireQualifiedAccess; NoComparison>]
type internal RendezvousMessage =
    /// Registers a client. Without a valid cookie it is answered by a challenge.
    | Register of Registration
    /// Acknowledges an introduction.
    | Acknowledge of room: Borrowed * handle: uint64 * cookie: Borrowed * introduction: Borrowed * roundTrip: Duration
    /// Ends the registration.
    | Leave of room: Borrowed * handle: uint64 * cookie: Borrowed
    /// Tells how the punch after an introduction has ended. It is not answered.
    | Report of room: Borrowed * handle: uint64 * cookie: Borrowed * introduction: Borrowed * report: MeetingReport
    /// Asks for the observed source endpoint.
    | Observe of handle: uint64
    /// A cookie, by which the client proves its address, and the server's other sockets.
    | Challenge of handle: uint64 * attempt: byte * cookie: Borrowed * observed: Endpoint * others: Endpoint[]
    | Registered of handle: uint64 * attempt: byte * observed: Endpoint * lifetime: Duration
    | Observed of handle: uint64 * observed: Endpoint
    /// Introduces another client of the room.
    | Introduce of handle: uint64 * Introduction
    /// Both clients have acknowledged; the punch begins after `wait`.
    | Go of handle: uint64 * introduction: Borrowed * wait: Duration
    /// The server has no capacity: the room has as many registrations as it may have, or else the server, or the client's source.
    | Full of handle: uint64 * isRoom: bool
    /// Asks a client that waits whether it is still there. It answers by registering again.
    | Ping of handle: uint64

and [<NoComparison>] internal Registration =
    {
        Room: Borrowed
        /// Drawn by the client and repeated by the server: an answer that names it comes from a host that saw the request.
        Handle: uint64
        /// Sixteen random bytes: the peer with the lower ones chooses the path.
        Peer: Borrowed
        Cookie: Borrowed
        Attempt: byte
        Stays: bool
        Offer: Borrowed
        /// Endpoints of peers to which the client is not to be introduced, as they are encoded. Port 0 stands for all ports.
        Avoided: Borrowed
    }

and [<NoComparison>] internal Introduction =
    {
        /// Sixteen bytes that the server drew.
        Nonce: Borrowed
        Peer: Borrowed
        Observed: Endpoint
        Offer: Borrowed
    }

/// The encoding of the messages. Every datagram begins with "UPN1", with which no uTP packet and no STUN message begins.
module internal PunchWire =
    [<Literal>]
    let private Magic = 0x55504E31u

    [<Literal>]
    let TagLength = 16

    [<Literal>]
    let CookieLength = 16

    /// A registration is padded to this: a challenge with three other sockets must not be larger.
    [<Literal>]
    let LeastRegistration = 128

    [<Literal>]
    let private LeastObserve = 40

    [<Literal>]
    let MaxOffer = 700

    [<Literal>]
    let MaxOthers = 3

    [<Literal>]
    let MaxAvoided = 8

    [<Literal>]
    let EndpointLength = 18

    let noCookie = Owned(Array.zeroCreate<byte> CookieLength)

    // ---- Writing ----

    [<Sealed>]
    type Writer(kind: byte) =
        let bytes = ResizeArray<byte>(160)

        do
            for shift in [| 24; 16; 8; 0 |] do
                bytes.Add(byte (Magic >>> shift))

            bytes.Add kind

        member _.Byte(value: byte) = bytes.Add value

        member _.Number(value: uint64, size: int) =
            for index in size - 1 .. -1 .. 0 do
                bytes.Add(byte (value >>> (8 * index)))

        member _.Bytes(value: Borrowed) =
            for item in value.Span do
                bytes.Add item

        member this.Endpoint(value: Endpoint) =
            this.Number(value.High, 8)
            this.Number(value.Low, 8)
            this.Number(uint64 value.Port, 2)

        member _.PadTo(length: int) =
            while bytes.Count < length do
                bytes.Add 0uy

        member _.ToBytes() = Owned(bytes.ToArray())

    let private milliseconds (duration: Duration) = uint64 (max 0L (min 65535L (int64 duration / 1000L)))

    /// A message of that kind, and what it is for.
    let begun kind (handle: uint64) =
        let writer = Writer kind
        writer.Number(handle, 8)
        writer

    let encode (message: RendezvousMessage) : Owned =
        match message with
        | RendezvousMessage.Register it ->
            let writer = begun 1uy it.Handle
            writer.Bytes it.Room
            writer.Bytes it.Peer
            writer.Bytes it.Cookie
            writer.Byte it.Attempt
            writer.Byte(if it.Stays then 1uy else 0uy)
            writer.Number(uint64 it.Offer.Length, 2)
            writer.Bytes it.Offer
            writer.Byte(byte (it.Avoided.Length / EndpointLength))
            writer.Bytes it.Avoided
            writer.PadTo LeastRegistration
            writer.ToBytes()
        | RendezvousMessage.Acknowledge(room, handle, cookie, introduction, roundTrip) ->
            let writer = begun 2uy handle
            writer.Bytes room
            writer.Bytes cookie
            writer.Bytes introduction
            writer.Number(milliseconds roundTrip, 2)
            writer.ToBytes()
        | RendezvousMessage.Leave(room, handle, cookie) ->
            let writer = begun 3uy handle
            writer.Bytes room
            writer.Bytes cookie
            writer.ToBytes()
        | RendezvousMessage.Report(room, handle, cookie, introduction, report) ->
            let writer = begun 5uy handle
            writer.Bytes room
            writer.Bytes cookie
            writer.Bytes introduction
            Array.iter writer.Byte (MeetingReport.encode report)
            writer.Number(milliseconds report.Elapsed, 2)
            writer.ToBytes()
        | RendezvousMessage.Observe handle ->
            let writer = begun 4uy handle
            writer.PadTo LeastObserve
            writer.ToBytes()
        | RendezvousMessage.Challenge(handle, attempt, cookie, observed, others) ->
            let writer = begun 0x81uy handle
            writer.Byte attempt
            writer.Bytes cookie
            writer.Endpoint observed
            writer.Byte(byte others.Length)

            for other in others do
                writer.Endpoint other

            writer.ToBytes()
        | RendezvousMessage.Registered(handle, attempt, observed, lifetime) ->
            let writer = begun 0x82uy handle
            writer.Byte attempt
            writer.Endpoint observed
            writer.Number(milliseconds (lifetime / 1000L), 2)
            writer.ToBytes()
        | RendezvousMessage.Observed(handle, observed) ->
            let writer = begun 0x83uy handle
            writer.Endpoint observed
            writer.ToBytes()
        | RendezvousMessage.Introduce(handle, it) ->
            let writer = begun 0x84uy handle
            writer.Bytes it.Nonce
            writer.Bytes it.Peer
            writer.Endpoint it.Observed
            writer.Number(uint64 it.Offer.Length, 2)
            writer.Bytes it.Offer
            writer.ToBytes()
        | RendezvousMessage.Go(handle, introduction, wait) ->
            let writer = begun 0x85uy handle
            writer.Bytes introduction
            writer.Number(milliseconds wait, 2)
            writer.ToBytes()
        | RendezvousMessage.Full(handle, isRoom) ->
            let writer = begun 0x86uy handle
            writer.Number((if isRoom then 1UL else 0UL), 1)
            writer.ToBytes()
        | RendezvousMessage.Ping handle -> (begun 0x87uy handle).ToBytes()

    // ---- Reading ----

    [<Sealed>]
    type Reader(bytes: Borrowed) =
        let mutable at = 4

        /// Whether nothing was read beyond the end, where all bytes are zero.
        member _.IsWithin = at <= bytes.Length

        member _.Number(size: int) : uint64 =
            let mutable value = 0UL

            for index in at .. at + size - 1 do
                value <- (value <<< 8) ||| (if index < bytes.Length then uint64 bytes.Span[index] else 0UL)

            at <- at + size
            value

        member this.Byte() = byte (this.Number 1)

        /// A part of what is read; empty when it reaches beyond the end.
        member _.Bytes(length: int) : Borrowed =
            at <- at + length
            if at <= bytes.Length then bytes.Slice(at - length, length) else Borrowed.Empty

        member this.Endpoint() : Endpoint =
            let high = this.Number 8
            let low = this.Number 8
            Endpoint.ofIPv6 high low (uint16 (this.Number 2))

        member this.Milliseconds() : Duration = Time.milliseconds (int (this.Number 2))

        /// How many bytes follow.
        member _.Left = max 0 (bytes.Length - at)

        /// What was read is not valid: as if it had been read beyond the end of any datagram.
        member _.Fail() = at <- 0x1_0000

    /// Endpoints in a row, as in `Registration.Avoided`.
    let endpoints (encoded: Borrowed) : Endpoint[] =
        Array.init (encoded.Length / EndpointLength) (fun index ->
            let at = encoded.Slice(index * EndpointLength, EndpointLength).Span

            Endpoint.ofIPv6
                (BinaryPrimitives.ReadUInt64BigEndian at)
                (BinaryPrimitives.ReadUInt64BigEndian(at.Slice 8))
                (BinaryPrimitives.ReadUInt16BigEndian(at.Slice 16)))

    let encodeEndpoints (endpoints: Endpoint[]) : Owned =
        let bytes = Array.zeroCreate (endpoints.Length * EndpointLength)

        for index in 0 .. endpoints.Length - 1 do
            let at = Span<byte>(bytes, index * EndpointLength, EndpointLength)
            BinaryPrimitives.WriteUInt64BigEndian(at, endpoints[index].High)
            BinaryPrimitives.WriteUInt64BigEndian(at.Slice 8, endpoints[index].Low)
            BinaryPrimitives.WriteUInt16BigEndian(at.Slice 16, endpoints[index].Port)

        Owned bytes

    let isOurs (datagram: Borrowed) = datagram.Length >= 5 && BinaryPrimitives.ReadUInt32BigEndian datagram.Span = Magic

    let private readOffer (reader: Reader) =
        let length = int (reader.Number 2)

        if length > MaxOffer then
            reader.Fail()
            Borrowed.Empty
        else
            reader.Bytes length

    /// The list stays encoded: nothing is allocated for a registration before its cookie was checked.
    let private readAvoided (reader: Reader) =
        let count = int (reader.Byte())

        if count > MaxAvoided then
            reader.Fail()
            Borrowed.Empty
        else
            reader.Bytes(count * EndpointLength)

    let decode (datagram: Borrowed) : RendezvousMessage voption =
        if not (isOurs datagram) then
            ValueNone
        else
            let reader = Reader datagram
            let kind = reader.Byte()
            let handle = reader.Number 8

            let message =
                match kind with
                | 1uy ->
                    let room = reader.Bytes TagLength
                    let peer = reader.Bytes TagLength
                    let cookie = reader.Bytes CookieLength
                    let attempt = reader.Byte()
                    let stays = reader.Byte() &&& 1uy = 1uy
                    let offer = readOffer reader

                    ValueSome(
                        RendezvousMessage.Register
                            { Room = room
                              Handle = handle
                              Peer = peer
                              Cookie = cookie
                              Attempt = attempt
                              Stays = stays
                              Offer = offer
                              Avoided = readAvoided reader }
                    )
                | 2uy ->
                    let room = reader.Bytes TagLength
                    let cookie = reader.Bytes CookieLength
                    let introduction = reader.Bytes TagLength
                    ValueSome(RendezvousMessage.Acknowledge(room, handle, cookie, introduction, reader.Milliseconds()))
                | 3uy ->
                    let room = reader.Bytes TagLength
                    ValueSome(RendezvousMessage.Leave(room, handle, reader.Bytes CookieLength))
                | 4uy ->
                    // Padded so that the answer is not larger.
                    reader.Bytes(LeastObserve - 13) |> ignore
                    ValueSome(RendezvousMessage.Observe handle)
                | 5uy ->
                    let room = reader.Bytes TagLength
                    let cookie = reader.Bytes CookieLength
                    let introduction = reader.Bytes TagLength
                    let stage, kind, mapping, peerMapping = reader.Byte(), reader.Byte(), reader.Byte(), reader.Byte()

                    MeetingReport.decode stage kind mapping peerMapping (reader.Milliseconds())
                    |> ValueOption.map (fun report ->
                        RendezvousMessage.Report(room, handle, cookie, introduction, report))
                | 0x81uy ->
                    let attempt = reader.Byte()
                    let cookie = reader.Bytes CookieLength
                    let observed = reader.Endpoint()
                    let count = min MaxOthers (int (reader.Byte()))
                    let others = Array.init count (fun _ -> reader.Endpoint())
                    ValueSome(RendezvousMessage.Challenge(handle, attempt, cookie, observed, others))
                | 0x82uy ->
                    let attempt = reader.Byte()
                    let observed = reader.Endpoint()
                    ValueSome(RendezvousMessage.Registered(handle, attempt, observed, 1000L * reader.Milliseconds()))
                | 0x83uy -> ValueSome(RendezvousMessage.Observed(handle, reader.Endpoint()))
                | 0x84uy ->
                    let nonce = reader.Bytes TagLength
                    let peer = reader.Bytes TagLength
                    let observed = reader.Endpoint()

                    ValueSome(
                        RendezvousMessage.Introduce(
                            handle,
                            { Nonce = nonce; Peer = peer; Observed = observed; Offer = readOffer reader }
                        )
                    )
                | 0x85uy ->
                    let introduction = reader.Bytes TagLength
                    ValueSome(RendezvousMessage.Go(handle, introduction, reader.Milliseconds()))
                | 0x86uy -> ValueSome(RendezvousMessage.Full(handle, reader.Byte() = 1uy))
                | 0x87uy -> ValueSome(RendezvousMessage.Ping handle)
                | _ -> ValueNone

            if reader.IsWithin then message else ValueNone

    /// The handle of a message of a server.
    let handleOfAnswer message =
        match message with
        | RendezvousMessage.Challenge(handle, _, _, _, _)
        | RendezvousMessage.Registered(handle, _, _, _)
        | RendezvousMessage.Observed(handle, _)
        | RendezvousMessage.Introduce(handle, _)
        | RendezvousMessage.Go(handle, _, _)
        | RendezvousMessage.Full(handle, _)
        | RendezvousMessage.Ping handle -> ValueSome handle
        | RendezvousMessage.Register _
        | RendezvousMessage.Acknowledge _
        | RendezvousMessage.Leave _
        | RendezvousMessage.Report _
        | RendezvousMessage.Observe _ -> ValueNone
