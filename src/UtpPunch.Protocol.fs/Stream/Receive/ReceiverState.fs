namespace UtpPunch.Protocol

/// A packet that was received ahead of a missing one.
[<Sealed; AllowNullLiteral>]
type internal HeldPacket(seqNr: SeqNr, data: Owned, isFin: bool) =
    member _.SeqNr = seqNr
    member _.Data = data
    member _.IsFin = isFin

/// The receiving half of a stream: puts packets in order, bounded in packets and in bytes, and knows what to acknowledge. Changed in
/// place; a step works on a `copy`.
[<NoComparison; NoEquality>]
type Receiver =
    internal
        {
            Capacity: int
            /// How many bytes may be held for now: less than the capacity while the node has little memory left.
            mutable Limit: int
            mutable AckNr: SeqNr
            /// Bytes delivered and not consumed.
            mutable Unread: int
            /// In the order of their numbers.
            mutable Held: Deque<HeldPacket>
            mutable HeldBytes: int
            mutable Fin: SeqNr voption
            mutable IsComplete: bool
            mutable Payloads: PayloadBuilder
        }
