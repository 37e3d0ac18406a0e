namespace UtpPunch.Protocol

/// Datagrams from one source, one behind the other in one buffer: each `SegmentSize` bytes, the last perhaps shorter. The core reads the
/// buffer during the step that is given it, and not afterwards: the shell may then receive into it again, except for what an
/// `Effect.Deliver` or `Effect.Foreign` of that step refers to.
[<Sealed; NoComparison>]
type Datagrams(buffer: byte[], offset: int, length: int, segmentSize: int, arrivedAt: Instant) =
    let count = if length = 0 then 1 else (length + segmentSize - 1) / segmentSize

    member _.Buffer = buffer
    member _.Offset = offset
    member _.Length = length
    member _.SegmentSize = segmentSize
    member _.ArrivedAt = arrivedAt
    member _.Count = count

    /// The datagram at an index, valid during the step.
    member _.Item
        with get index =
            let start = index * segmentSize
            Borrowed(buffer, offset + start, min segmentSize (length - start))

    static member One(datagram: Borrowed, arrivedAt: Instant) =
        Datagrams(datagram.Array, datagram.Offset, datagram.Length, max 1 datagram.Length, arrivedAt)
