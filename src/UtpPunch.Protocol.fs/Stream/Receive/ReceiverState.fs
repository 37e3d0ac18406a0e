namespace UtpPunch.Protocol

/// By when all packets up to a number had arrived: the time stamp of the last of them, by the peer's clock, and its arrival.
[<Struct; NoComparison; NoEquality>]
type internal PassedMark = { Stamp: uint32; At: Instant }

/// The receiving half of a stream: puts packets in order, bounded in packets and in bytes, and knows what to acknowledge. Changed in
/// place; a step works on a `copy`.
[<NoComparison; NoEquality>]
type Receiver =
    internal
        {
            mutable Capacity: int
            /// How many bytes may be held for now: less than the capacity while the node has little memory left.
            mutable Limit: int
            /// How many packets ahead of the next one are held at most.
            mutable Reach: int
            mutable AckNr: SeqNr
            /// Bytes delivered and not consumed.
            mutable Unread: int
            /// When the current round trip began (`Time.stamp`), what has arrived since then, and the shortest round trip that was measured in
            /// it; 0 for none.
            mutable RoundAt: uint32
            mutable RoundBytes: int
            mutable RoundTrip: int
            /// The shortest round trip that was ever measured.
            mutable LeastTrip: int
            /// Null for none.
            mutable Held: HeldPackets
            mutable Fin: SeqNr voption
            /// For each multiple of 4096, when it was passed last; null before the first. Replaced as a whole.
            mutable Passed: PassedMark[]
            mutable IsComplete: bool
            mutable Payloads: PayloadBuilder
        }
