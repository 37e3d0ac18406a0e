namespace UtpPunch.Protocol

open System
open System.Buffers.Binary

type PacketType =
    | Data = 0uy
    | Fin = 1uy
    | State = 2uy
    | Reset = 3uy
    | Syn = 4uy

[<Struct; NoComparison>]
type Header =
    { Type: PacketType
      ConnectionId: uint16
      Timestamp: uint32
      TimestampDifference: uint32
      Window: uint32
      SeqNr: SeqNr
      AckNr: SeqNr }

[<Struct; NoComparison>]
type Packet = { Header: Header; Sack: Borrowed; HasRanges: bool; Bits: uint64; Payload: Borrowed }

type Malformed =
    | None = 0
    | Foreign = 1
    | Extension = 2

// type and version 1 | extension 1 | connection id 2 | timestamp 4 | difference 4 | window 4 | seq_nr 2 | ack_nr 2
module Packet =
    [<Literal>]
    let HeaderLength = 20

    [<Literal>]
    let private Version = 1uy

    [<Literal>]
    let private SelectiveAck = 1uy

    [<Literal>]
    let private ExtensionBits = 2uy

    /// A number that BEP 29 does not use: receivers skip extensions that they do not know.
    [<Literal>]
    let private Authentication = 85uy

    [<Literal>]
    let private Ranges = 86uy

    /// The bits and the two bytes before them.
    [<Literal>]
    let private BitsLength = 10

    let inline private isForeign (span: ReadOnlySpan<byte>) =
        span.Length < HeaderLength || span[0] &&& 0x0Fuy <> Version || span[0] >>> 4 > 4uy

    let inline private readHeader (span: ReadOnlySpan<byte>) : Header =
        { Type = LanguagePrimitives.EnumOfValue(span[0] >>> 4)
          ConnectionId = BinaryPrimitives.ReadUInt16BigEndian(span.Slice 2)
          Timestamp = BinaryPrimitives.ReadUInt32BigEndian(span.Slice 4)
          TimestampDifference = BinaryPrimitives.ReadUInt32BigEndian(span.Slice 8)
          Window = BinaryPrimitives.ReadUInt32BigEndian(span.Slice 12)
          SeqNr = SeqNr(BinaryPrimitives.ReadUInt16BigEndian(span.Slice 16))
          AckNr = SeqNr(BinaryPrimitives.ReadUInt16BigEndian(span.Slice 18)) }

    let tryReadHeader (start: Borrowed) = if isForeign start.Span then ValueNone else ValueSome(readHeader start.Span)

    let decode (datagram: Borrowed) (packet: outref<Packet>) =
        let span = datagram.Span

        if isForeign span then
            packet <- Unchecked.defaultof<Packet>
            Malformed.Foreign
        else
            // Each extension: the type of the next one, its own length, that many bytes.
            let mutable extension = span[1]
            let mutable position = HeaderLength
            let mutable sack = Borrowed.Empty
            let mutable ranges = Borrowed.Empty
            let mutable bits = 0UL
            let mutable whole = true

            while whole && extension <> 0uy do
                if position + 2 > span.Length || position + 2 + int span[position + 1] > span.Length then
                    whole <- false
                else
                    let length = int span[position + 1]

                    if extension = SelectiveAck && sack.IsEmpty then
                        sack <- datagram.Slice(position + 2, length)
                    elif extension = Ranges && SackRanges.isValid (datagram.Slice(position + 2, length)) then
                        ranges <- datagram.Slice(position + 2, length)
                    elif extension = ExtensionBits && length = 8 && bits = 0UL then
                        bits <- BinaryPrimitives.ReadUInt64BigEndian(span.Slice(position + 2))

                    extension <- span[position]
                    position <- position + 2 + length

            if whole then
                packet <-
                    { Header = readHeader span
                      Sack = if sack.IsEmpty then ranges else sack
                      HasRanges = sack.IsEmpty && not ranges.IsEmpty
                      Bits = bits
                      Payload = datagram.Skip position }

                Malformed.None
            else
                packet <- Unchecked.defaultof<Packet>
                Malformed.Extension

    let authentication (datagram: Borrowed) =
        let span = datagram.Span
        let mutable extension = if span.Length < HeaderLength then 0uy else span[1]
        let mutable position = HeaderLength
        let mutable found = Borrowed.Empty

        while extension <> 0uy
              && position + 2 <= span.Length
              && position + 2 + int span[position + 1] <= span.Length do
            if extension = Authentication then
                found <- datagram.Slice(position + 2, int span[position + 1])

            extension <- span[position]
            position <- position + 2 + int span[position + 1]

        found

    let lengthOf sackLength (bits: uint64) payloadLength =
        HeaderLength
        + (if sackLength = 0 then 0 else 2 + sackLength)
        + (if bits = 0UL then 0 else BitsLength)
        + payloadLength

    let private write
        (extension: byte)
        (header: inref<Header>)
        (sack: Owned)
        (bits: uint64)
        (payload: Owned)
        (target: Span<byte>)
        =
        if sack.Length > 252 || sack.Length % 4 <> 0 then
            invalidArg (nameof sack) "A selective acknowledgement is a multiple of 4 bytes, at most 252."

        target[0] <- (LanguagePrimitives.EnumToValue header.Type <<< 4) ||| Version
        let ownBits = if bits = 0UL then 0uy else ExtensionBits
        target[1] <- if sack.IsEmpty then ownBits else extension
        BinaryPrimitives.WriteUInt16BigEndian(target.Slice 2, header.ConnectionId)
        BinaryPrimitives.WriteUInt32BigEndian(target.Slice 4, header.Timestamp)
        BinaryPrimitives.WriteUInt32BigEndian(target.Slice 8, header.TimestampDifference)
        BinaryPrimitives.WriteUInt32BigEndian(target.Slice 12, header.Window)
        BinaryPrimitives.WriteUInt16BigEndian(target.Slice 16, header.SeqNr.Value)
        BinaryPrimitives.WriteUInt16BigEndian(target.Slice 18, header.AckNr.Value)
        let mutable position = HeaderLength

        if not sack.IsEmpty then
            target[position] <- ownBits
            target[position + 1] <- byte sack.Length
            sack.Span.CopyTo(target.Slice(position + 2))
            position <- position + 2 + sack.Length

        if bits <> 0UL then
            target[position] <- 0uy
            target[position + 1] <- 8uy
            BinaryPrimitives.WriteUInt64BigEndian(target.Slice(position + 2), bits)
            position <- position + BitsLength

        payload.Span.CopyTo(target.Slice position)
        position + payload.Length

    let encode (header: inref<Header>) (sack: Owned) (bits: uint64) (payload: Owned) (target: Span<byte>) =
        write SelectiveAck &header sack bits payload target

    let encodeRanges (header: inref<Header>) (ranges: Owned) (bits: uint64) (payload: Owned) (target: Span<byte>) =
        write Ranges &header ranges bits payload target

    let encodeWith
        (header: inref<Header>)
        (sack: Owned)
        (hasRanges: bool)
        (bits: uint64)
        (code: Owned)
        (target: Span<byte>)
        =
        let extension = if hasRanges then Ranges else SelectiveAck
        let position = write extension &header sack bits Owned.Empty target

        if code.IsEmpty then
            position
        else
            // The last extension names this one.
            let last =
                if bits <> 0UL then position - BitsLength
                elif sack.IsEmpty then 1
                else HeaderLength

            target[last] <- Authentication
            target[position] <- 0uy
            target[position + 1] <- byte code.Length
            code.Span.CopyTo(target.Slice(position + 2))
            position + 2 + code.Length
