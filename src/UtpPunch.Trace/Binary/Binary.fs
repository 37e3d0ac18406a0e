namespace UtpPunch.Tracing

open System
open System.Buffers.Binary
open UtpPunch.Protocol

/// Bytes one behind the other in an array that grows: recording makes no garbage.
[<Sealed; NoComparison; NoEquality>]
type internal GrowingBytes(capacity: int) =
    let mutable bytes = GC.AllocateUninitializedArray<byte> capacity
    let mutable length = 0

    member _.Length = length
    member _.Capacity = bytes.Length
    member _.Array = bytes
    member _.Truncate(count: int) = length <- count

    /// Room for `count` bytes, to be written at once.
    member _.Take(count: int) : Span<byte> =
        if bytes.Length - length < count then
            let needed = max (int64 length + int64 count) (2L * int64 bytes.Length)
            Array.Resize(&bytes, int (min needed (int64 Array.MaxLength)))

        let room = Span<byte>(bytes, length, count)
        length <- length + count
        room

    member this.Byte(value: byte) = (this.Take 1)[0] <- value
    member this.Add(value: ReadOnlySpan<byte>) = value.CopyTo(this.Take value.Length)

    /// Seven bits a byte, the least significant first.
    member this.Number(value: uint64) =
        let mutable rest = value

        while rest >= 0x80UL do
            this.Byte(byte rest ||| 0x80uy)
            rest <- rest >>> 7

        this.Byte(byte rest)

    /// Small negative numbers are short, too.
    member this.Signed(value: int64) = this.Number(uint64 ((value <<< 1) ^^^ (value >>> 63)))

    member this.Endpoint(value: Endpoint) =
        let room = this.Take 26
        BinaryPrimitives.WriteUInt64LittleEndian(room, value.High)
        BinaryPrimitives.WriteUInt64LittleEndian(room.Slice 8, value.Low)
        BinaryPrimitives.WriteUInt32LittleEndian(room.Slice 16, value.Scope)
        BinaryPrimitives.WriteUInt16LittleEndian(room.Slice 20, value.Port)
        BinaryPrimitives.WriteUInt16LittleEndian(room.Slice 22, value.Via)
        BinaryPrimitives.WriteUInt16LittleEndian(room.Slice 24, value.Local)

    member _.Copy() =
        let copy = GrowingBytes length
        copy.Add(ReadOnlySpan<byte>(bytes, 0, length))
        copy

/// How a port prediction is encoded: 0, 1, or 2 and the step.
module internal Predictions =
    let code (value: PortPrediction) =
        match value with
        | PortPrediction.Unknown -> struct (0uy, 0)
        | PortPrediction.EndpointIndependent -> struct (1uy, 0)
        | PortPrediction.Dependent step -> struct (2uy, step)

    let value (code: byte) (step: int) =
        match code with
        | 0uy -> PortPrediction.Unknown
        | 1uy -> PortPrediction.EndpointIndependent
        | _ -> PortPrediction.Dependent step

/// Writes what `Schema` visits in binary. Headers are copied; payloads are hashed, or copied when `full`.
[<Sealed>]
type internal BinaryWriter(target: GrowingBytes, full: bool) =
    inherit Fields()
    let mutable previous = Unchecked.defaultof<Datagrams>

    /// In place of a head's length: the datagram is not what its fields encode to, and follows in full.
    static member Raw = UInt16.MaxValue

    /// Datagrams of the next event share no buffer with earlier ones.
    member _.Leave() = previous <- Unchecked.defaultof<Datagrams>

    override _.Begin kind = target.Byte kind.Code

    override _.Number(_, _, value) =
        target.Signed value
        value

    override _.Time(_, value) =
        target.Signed(int64 value)
        value

    override _.Duration(_, value) =
        target.Signed(int64 value)
        value

    override _.Name(_, _, index) =
        target.Byte(byte index)
        index

    override _.Word _ = ()

    override _.Endpoint(_, value) =
        target.Endpoint value
        value

    override _.Endpoints(_, value) =
        target.Number(uint64 value.Length)

        for item in value do
            target.Endpoint item

        value

    override _.OptionalEndpoint(_, value) =
        match value with
        | ValueSome it ->
            target.Byte 1uy
            target.Endpoint it
        | ValueNone -> target.Byte 0uy

        value

    override _.Prediction(_, value) =
        let struct (code, step) = Predictions.code value
        target.Byte code
        target.Signed(int64 step)
        value

    override _.Bytes(_, value) =
        target.Number(uint64 value.Length)
        target.Add value.Span
        value

    override _.Datagram(_, value) =
        target.Number(uint64 value.Length)
        target.Add value.Span
        value

    override _.Written value =
        target.Number(uint64 value.Length)
        if full then target.Add value.Span
        value

    override _.Delivered value =
        target.Number(uint64 value.Length)
        if full then value.CopyTo(0, target.Take value.Length) |> ignore
        value

    override _.Received(from, datagrams) =
        let before = previous
        previous <- datagrams
        target.Endpoint from
        target.Signed(int64 datagrams.ArrivedAt)
        target.Number(uint64 datagrams.SegmentSize)
        target.Number(uint64 datagrams.Length)
        // The core joins datagrams that are adjacent in one buffer, so their distance matters.
        let shares = not (isNull (box before)) && Object.ReferenceEquals(before.Buffer, datagrams.Buffer)
        target.Signed(if shares then int64 (datagrams.Offset - before.Offset) else -1L)

        if full then
            target.Add(ReadOnlySpan<byte>(datagrams.Buffer, datagrams.Offset, datagrams.Length))
        else
            for index in 0 .. datagrams.Count - 1 do
                let datagram = datagrams[index].Span
                let head = TraceDatagram.headLength datagram

                if head < 0 then
                    BinaryPrimitives.WriteUInt16LittleEndian(target.Take 2, BinaryWriter.Raw)
                    target.Add datagram
                else
                    // One `Take` for all of it: every packet costs this.
                    let isHashed = datagram.Length > head
                    let room = target.Take(2 + head + (if isHashed then 8 else 0))
                    BinaryPrimitives.WriteUInt16LittleEndian(room, uint16 head)
                    datagram.Slice(0, head).CopyTo(room.Slice 2)

                    if isHashed then
                        let hash = Fingerprint.ofPayload (datagram.Slice head)
                        BinaryPrimitives.WriteUInt64LittleEndian(room.Slice(2 + head), hash)

        struct (from, datagrams)

    /// The head of the first packet as it is sent; the others differ in their numbers only.
    override _.Sent(remote, train) =
        let payload = train.Payload.Span
        let head = train.LengthOf 0 - (train.Piece 0).Length
        target.Endpoint remote
        BinaryPrimitives.WriteUInt16LittleEndian(target.Take 2, uint16 head)
        train.WriteHeader(0, target.Take head) |> ignore
        target.Byte(if train.MayFragment then 1uy else 0uy)
        target.Number(uint64 train.PacketSize)
        target.Number(uint64 payload.Length)

        if full then
            target.Add payload
        else
            let mutable start = 0

            while start < payload.Length do
                let piece = payload.Slice(start, min train.PacketSize (payload.Length - start))
                BinaryPrimitives.WriteUInt64LittleEndian(target.Take 8, Fingerprint.ofPayload piece)
                start <- start + train.PacketSize

        struct (remote, train)

/// Reads what `BinaryWriter` has written. Contents that were not recorded are zeroes; the hashes of packets go into `hashes`, in the
/// order of the packets.
[<Sealed>]
type internal BinaryReader(source: GrowingBytes, full: bool, hashes: System.Collections.Generic.Queue<uint64>) =
    inherit Fields()
    /// A buffer as long as the transport's, which the runs behind the first one fit into.
    static let bufferSize = 65536
    let mutable position = 0
    let mutable previous = Unchecked.defaultof<Datagrams>

    member _.IsAtEnd = position = source.Length
    member _.Peek() = source.Array[position]
    member _.Leave() = previous <- Unchecked.defaultof<Datagrams>

    member _.Take(count: int) : ReadOnlySpan<byte> =
        position <- position + count
        ReadOnlySpan<byte>(source.Array, position - count, count)

    member this.Byte() = (this.Take 1)[0]

    member this.Number() : uint64 =
        let mutable value = 0UL
        let mutable shift = 0
        let mutable part = this.Byte()

        while part >= 0x80uy do
            value <- value ||| (uint64 (part &&& 0x7Fuy) <<< shift)
            shift <- shift + 7
            part <- this.Byte()

        value ||| (uint64 part <<< shift)

    member this.Signed() : int64 =
        let value = this.Number()
        int64 (value >>> 1) ^^^ -(int64 (value &&& 1UL))

    member private this.One() : Endpoint =
        let bytes = this.Take 26

        { High = BinaryPrimitives.ReadUInt64LittleEndian bytes
          Low = BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice 8)
          Scope = BinaryPrimitives.ReadUInt32LittleEndian(bytes.Slice 16)
          Port = BinaryPrimitives.ReadUInt16LittleEndian(bytes.Slice 20)
          Via = BinaryPrimitives.ReadUInt16LittleEndian(bytes.Slice 22)
          Local = BinaryPrimitives.ReadUInt16LittleEndian(bytes.Slice 24) }

    member private this.Hash() = hashes.Enqueue(BinaryPrimitives.ReadUInt64LittleEndian(this.Take 8))

    override _.Begin _ = ()
    override this.Number(_, _, _) = this.Signed()
    override this.Time(_, _) = Time.microseconds (this.Signed())
    override this.Duration(_, _) = Time.microseconds (this.Signed())
    override this.Name(_, _, _) = int (this.Byte())
    override _.Word _ = ()
    override this.Endpoint(_, _) = this.One()
    override this.Endpoints(_, _) = Array.init (int (this.Number())) (fun _ -> this.One())

    override this.OptionalEndpoint(_, _) = if this.Byte() = 1uy then ValueSome(this.One()) else ValueNone

    override this.Prediction(_, _) =
        let code = this.Byte()
        Predictions.value code (int (this.Signed()))

    override this.Bytes(_, _) =
        let length = int (this.Number())
        Owned((this.Take length).ToArray())

    override this.Datagram(_, _) =
        let length = int (this.Number())
        Borrowed((this.Take length).ToArray())

    override this.Written _ =
        let length = int (this.Number())
        if full then Owned((this.Take length).ToArray()) else ZeroPayload.bytes length

    override this.Delivered _ =
        let bytes = this.Written Owned.Empty

        { Buffer = bytes.Array
          Offset = bytes.Offset
          Stride = bytes.Length
          Size = bytes.Length
          Length = bytes.Length }

    override this.Received(_, _) =
        let from = this.One()
        let arrivedAt = Time.microseconds (this.Signed())
        let segment = int (this.Number())
        let length = int (this.Number())
        let behind = int (this.Signed())

        let fits =
            not (isNull (box previous))
            && behind >= previous.Length
            && previous.Offset + behind + length <= previous.Buffer.Length

        let buffer = if fits then previous.Buffer else Array.zeroCreate<byte>(max length bufferSize)
        let offset = if fits then previous.Offset + behind else 0
        let datagrams = Datagrams(buffer, offset, length, segment, arrivedAt)
        previous <- datagrams

        if full then
            (this.Take length).CopyTo(Span<byte>(buffer, offset, length))
        else
            for index in 0 .. datagrams.Count - 1 do
                let start = index * segment
                let target = Span<byte>(buffer, offset + start, min segment (length - start))
                let head = BinaryPrimitives.ReadUInt16LittleEndian(this.Take 2)
                (this.Take(if head = BinaryWriter.Raw then target.Length else int head)).CopyTo target

                if int head < target.Length then this.Hash()

        struct (from, datagrams)

    override this.Sent(_, _) =
        let remote = this.One()
        let head = int (BinaryPrimitives.ReadUInt16LittleEndian(this.Take 2))
        let mutable packet = Unchecked.defaultof<Packet>
        let headBytes = Borrowed((this.Take head).ToArray())
        Packet.decode headBytes &packet |> ignore
        let code = Packet.authentication headBytes
        let mayFragment = this.Byte() = 1uy
        let packetSize = int (this.Number())
        let length = int (this.Number())
        let payload = if full then Owned((this.Take length).ToArray()) else ZeroPayload.bytes length

        let train =
            if code.IsEmpty then
                Train(
                    packet.Header,
                    Borrowed.keep packet.Sack,
                    packet.HasRanges,
                    packet.Bits,
                    payload,
                    packetSize,
                    mayFragment
                )
            else
                Train(packet.Header, packet.Bits, Borrowed.keep code)

        if not full && length > 0 then
            for _ in 1 .. train.Count do
                this.Hash()

        struct (remote, train)
