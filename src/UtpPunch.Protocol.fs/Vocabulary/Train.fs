namespace UtpPunch.Protocol

/// Packets to one peer that differ in `seq_nr` and payload only: the first carries `Header.SeqNr`, each further one the next
/// number, and each takes the next `PacketSize` bytes of `Payload` (the last perhaps fewer). One without payload is one packet.
[<Sealed; NoComparison>]
type Train(header: Header, sack: Owned, bits: uint64, payload: Owned, packetSize: int, mayFragment: bool) =
    let count = if payload.IsEmpty then 1 else (payload.Length + packetSize - 1) / packetSize

    /// One without extension bits, whose packets must not be fragmented.
    new(header, sack, payload, packetSize) = Train(header, sack, 0UL, payload, packetSize, false)

    /// The most bytes of packets: one system call carries a train, and takes 64 KiB.
    static member Limit = 65000

    member _.Header = header
    member _.Sack = sack
    /// BEP 29's extension bits; 0 for none.
    member _.Bits = bits
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
    member this.LengthOf(index: int) = Packet.lengthOf sack.Length bits (this.PieceLength index)

    /// The part of the payload that the packet at an index carries.
    member this.Piece(index: int) =
        if payload.IsEmpty then
            payload
        else
            payload.Slice(index * packetSize, this.PieceLength index)

    /// Writes what stands before the payload of the packet at an index, and returns its length, which is that of every packet.
    member _.WriteHeader(index: int, target: System.Span<byte>) =
        let header = { header with SeqNr = header.SeqNr + index }
        Packet.encode &header sack bits Owned.Empty target

    /// Writes the packet at an index and returns its length.
    member this.Write(index: int, target: System.Span<byte>) =
        let header = { header with SeqNr = header.SeqNr + index }
        Packet.encode &header sack bits (this.Piece index) target
