namespace UtpPunch.Protocol

/// Packets to one peer that differ in `seq_nr` and payload only: the first carries `Header.SeqNr`, each further one the next
/// number, and each takes the next `PacketSize` bytes of `Payload` (the last perhaps fewer). One without payload is one packet.
[<Sealed; NoComparison>]
type Train
    private
    (
        header: Header,
        sack: Owned,
        hasRanges: bool,
        bits: uint64,
        payload: Owned,
        packetSize: int,
        mayFragment: bool,
        code: byte[]
    ) =
    let count = if payload.IsEmpty then 1 else (payload.Length + packetSize - 1) / packetSize

    new(header, sack, hasRanges, bits, payload, packetSize, mayFragment) =
        Train(header, sack, hasRanges, bits, payload, packetSize, mayFragment, [||])

    /// One whose selective acknowledgement, if any, is bits.
    new(header, sack, bits, payload, packetSize, mayFragment) =
        Train(header, sack, false, bits, payload, packetSize, mayFragment)

    /// One without extension bits, whose packets must not be fragmented.
    new(header, sack, payload, packetSize) = Train(header, sack, 0UL, payload, packetSize, false)

    /// A packet with extension 85, unless that is empty: the authentication code of a SYN or a SYN-ACK, or the share of a key.
    new(header, sack, hasRanges, bits, code: Owned) =
        Train(header, sack, hasRanges, bits, Owned.Empty, 0, false, code.Span.ToArray())

    new(header, bits, code: Owned) = Train(header, Owned.Empty, false, bits, code)

    /// The most bytes of packets: one system call carries a train, and takes 64 KiB.
    static member Limit = 65000

    member _.Header = header
    member _.Sack = sack
    /// Whether the selective acknowledgement is `SackRanges`.
    member _.HasRanges = hasRanges
    /// BEP 29's extension bits; 0 for none.
    member _.Bits = bits
    /// The authentication code of a SYN or a SYN-ACK between the peers of a meeting, or the share of a key; empty for none.
    member _.Code = Owned code
    /// Bytes that were written with `Event.Write`. They must be sent, or copied, before the next step: its acknowledgement may end the loan.
    member _.Payload = payload
    member _.PacketSize = packetSize

    /// Its packets got their numbers when the path took larger ones, and cannot be cut any more: the network may (RFC 8899, 4.3 leaves
    /// that open). Everything else goes out with DF, or no probe would tell anything.
    member _.MayFragment = mayFragment

    member _.Count = count

    member private _.PieceLength(index: int) =
        if payload.IsEmpty then 0 else min packetSize (payload.Length - index * packetSize)

    /// The length in bytes of the packet at an index.
    member this.LengthOf(index: int) =
        let codeLength = if code.Length = 0 then 0 else 2 + code.Length
        Packet.lengthOf sack.Length bits (this.PieceLength index) + codeLength

    /// The part of the payload that the packet at an index carries.
    member this.Piece(index: int) =
        if payload.IsEmpty then
            payload
        else
            payload.Slice(index * packetSize, this.PieceLength index)

    member private _.Encode(header: inref<Header>, piece: Owned, target: System.Span<byte>) =
        if hasRanges then
            Packet.encodeRanges &header sack bits piece target
        else
            Packet.encode &header sack bits piece target

    /// Writes what stands before the payload of the packet at an index, and returns its length, which is that of every packet.
    member this.WriteHeader(index: int, target: System.Span<byte>) =
        let header = { header with SeqNr = header.SeqNr + index }

        if code.Length > 0 then
            Packet.encodeWith &header sack hasRanges bits (Owned code) target
        else
            this.Encode(&header, Owned.Empty, target)

    /// Writes the packet at an index and returns its length.
    member this.Write(index: int, target: System.Span<byte>) =
        if code.Length > 0 then
            this.WriteHeader(index, target)
        else
            let header = { header with SeqNr = header.SeqNr + index }
            this.Encode(&header, this.Piece index, target)
