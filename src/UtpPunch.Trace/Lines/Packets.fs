namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

/// Whether a datagram is what its fields encode to, so that a line may have the fields instead of the bytes.
module TraceDatagram =
    /// Where the extension at `place` ends; -1 when it is empty, is not a multiple of `unit` bytes, or does not fit.
    let private behind (datagram: ReadOnlySpan<byte>) (place: int) (unit: int) : int =
        if datagram.Length < place + 2 then
            -1
        else
            let length = int datagram[place + 1]

            if length > 0 && length % unit = 0 && datagram.Length >= place + 2 + length then
                place + 2 + length
            else
                -1

    /// Where the extension bits at `place` end; -1 when they are not the last extension, or all zero.
    let private behindBits (datagram: ReadOnlySpan<byte>) (place: int) : int =
        let until = behind datagram place 8

        if
            until = place + 10
            && datagram[place] = 0uy
            && datagram.Slice(place + 2, 8).IndexOfAnyExcept 0uy >= 0
        then
            until
        else
            -1

    /// Whether the first extension, which ends at `until`, is ranges of a selective acknowledgement.
    let private areRanges (datagram: ReadOnlySpan<byte>) (until: int) : bool =
        let place = Packet.HeaderLength + 2
        SackRanges.isValid (Borrowed(datagram.Slice(place, until - place).ToArray()))

    /// The bytes before the payload: the header, and at most a selective acknowledgement and extension bits, in that order. -1 for any
    /// other datagram, of which a trace has the bytes.
    [<CompiledName "HeadLength">]
    let headLength (datagram: ReadOnlySpan<byte>) : int =
        if datagram.Length < Packet.HeaderLength || datagram[0] &&& 0x0Fuy <> 1uy || datagram[0] >>> 4 > 4uy then
            -1
        else
            match datagram[1] with
            | 0uy -> Packet.HeaderLength
            | 1uy
            | 86uy ->
                let until = behind datagram Packet.HeaderLength 4

                if until < 0 || (datagram[1] = 86uy && not (areRanges datagram until)) then -1
                elif datagram[Packet.HeaderLength] = 0uy then until
                elif datagram[Packet.HeaderLength] = 2uy then behindBits datagram until
                else -1
            | 2uy -> behindBits datagram Packet.HeaderLength
            | _ -> -1

    let internal decode (datagram: Borrowed) : Packet voption =
        let mutable packet = Unchecked.defaultof<Packet>

        if headLength datagram.Span < 0 || Packet.decode datagram &packet <> Malformed.None then
            ValueNone
        else
            ValueSome packet

/// One datagram, as a `pkt` line has it.
[<NoComparison>]
type TracePacket =
    {
        /// Follows the datagram through its life; 0 when unknown.
        Number: int64
        /// The destination; none for a datagram that was received.
        Target: Endpoint voption
        /// Its place, from 1, among the datagrams that were received or sent together.
        Index: int
        Count: int
        /// Whether the line has the bytes of the datagram (`raw=`), which are `Raw`. The fields from `Header` to `Payload` are unset then.
        IsRaw: bool
        Raw: Owned
        Header: Header
        /// The bits of the selective acknowledgement; empty for none.
        Sack: Owned
        /// Whether they are ranges.
        HasRanges: bool
        /// The extension bits; 0 for none.
        Bits: uint64
        /// Bytes of payload; of the whole datagram when it is raw.
        Length: int
        /// The value of `pay=`; null for none.
        Payload: string
        /// Whether it was sent without DF.
        MayFragment: bool
    }

    /// The bytes of the datagram. The payload is zeroes where the trace does not have it.
    member this.Encode(payloads: TracePayloads) : byte[] =
        if this.IsRaw then
            this.Raw.Span.ToArray()
        else
            let header = this.Header
            let payload = payloads.Read(this.Payload, this.Length)
            let whole = Array.zeroCreate<byte>(Packet.lengthOf this.Sack.Length this.Bits this.Length)

            if this.HasRanges then
                Packet.encodeRanges &header this.Sack this.Bits payload (Span<byte> whole) |> ignore
            else
                Packet.encode &header this.Sack this.Bits payload (Span<byte> whole) |> ignore

            whole
