namespace UtpPunch.Protocol

/// The sending half of a stream: what is queued, what the peer's window admits, and the scoreboard of what was sent. Timers are the
/// caller's. Changed in place; a step works on a `copy`.
[<NoComparison; NoEquality>]
type Sender =
    internal
        {
            Options: StreamOptions
            Board: Scoreboard
            mutable State: SendState
            /// Packets in flight at most.
            mutable PacketWindow: int
            mutable Queue: Deque<Owned>
            /// Bytes in the queue.
            mutable Queued: int
            mutable PeerWindow: int64
            /// The timestamp of the packet that advertised it; meaningless before one did.
            mutable WindowStamp: uint32
            mutable WindowKnown: bool
            /// The last packet that was not full (Minshall's variant of Nagle: only one of them may be under way).
            mutable ShortPacket: SeqNr voption
        }
