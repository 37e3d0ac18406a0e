namespace UtpPunch.Protocol

/// Datagrams from one source, one behind the other in one buffer: each `SegmentSize` bytes, the last perhaps shorter.
[<Sealed; NoComparison>]
type Datagrams(buffer: byte[], offset: int, length: int, segmentSize: int, arrivedAt: Instant) =
    let count = if length = 0 then 1 else (length + segmentSize - 1) / segmentSize

    member _.Buffer = buffer
    member _.Offset = offset
    member _.Length = length
    member _.SegmentSize = segmentSize
    member _.ArrivedAt = arrivedAt
    member _.Count = count

    /// The datagram at an index.
    member _.Item
        with get index =
            let start = index * segmentSize
            Bytes(buffer, offset + start, min segmentSize (length - start))

    static member One(datagram: Bytes, arrivedAt: Instant) =
        Datagrams(datagram.Array, datagram.Offset, datagram.Length, max 1 datagram.Length, arrivedAt)
