namespace UtpPunch.Protocol

/// The receiving half of a stream: puts packets in order, bounded in packets and in bytes, and knows what to acknowledge. Changed in
/// place; a step works on a `copy`.
[<NoComparison; NoEquality>]
type Receiver =
    internal
        {
            Capacity: int
            /// How many bytes may be held for now: less than the capacity while the node has little memory left.
            mutable Limit: int
            /// How many packets ahead of the next one are held at most.
            mutable Reach: int
            mutable AckNr: SeqNr
            /// Bytes delivered and not consumed.
            mutable Unread: int
            /// Null for none.
            mutable Held: HeldPackets
            mutable Fin: SeqNr voption
            mutable IsComplete: bool
            mutable Payloads: PayloadBuilder
        }
