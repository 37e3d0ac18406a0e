namespace UtpPunch.Protocol

/// What became of a packet that carries a sequence number.
[<Struct; RequireQualifiedAccess>]
type internal Arrival =
    | InOrder
    /// Held until its predecessors are here.
    | OutOfOrder
    | Duplicate
    /// Outside the reorder window: dropped.
    | OutOfRange
    /// More than the window that we advertised: dropped.
    | Overrun
    /// Behind the peer's FIN, or a FIN that contradicts it: dropped.
    | BeyondFin

/// The receiving half of a stream: puts packets in order, bounded in packets and in bytes, and knows what to acknowledge.
/// A step works on a `copy`; whoever holds the original never sees a change.
[<Sealed>]
type internal Receiver

module internal Receiver =
    /// Packets that may lie ahead of the next one, as in libutp.
    [<Literal>]
    val ReorderWindow: int = 1024

    /// `ackNr` is the last number before the peer's first data; `capacity` the bytes received and not consumed, at most.
    val create: capacity: int -> ackNr: SeqNr -> Receiver
    val copy: receiver: Receiver -> Receiver
    /// The last number of the unbroken run received: BEP 29's `ack_nr`.
    val ackNr: receiver: Receiver -> SeqNr
    /// Bytes that may be sent to us now: what the reader has left free.
    val window: receiver: Receiver -> int
    /// Whether packets wait for a missing one.
    val hasGap: receiver: Receiver -> bool
    /// Whether everything up to the peer's FIN is here.
    val isComplete: receiver: Receiver -> bool
    /// Whether a packet with this number would be looked at at all.
    val isInRange: seqNr: SeqNr -> receiver: Receiver -> bool
    /// Takes a DATA or FIN packet.
    val accept: seqNr: SeqNr -> payload: Bytes -> isFin: bool -> receiver: Receiver -> Arrival
    /// Hands over what has become deliverable since the last time.
    val drain: deliver: (Payload -> unit) -> receiver: Receiver -> unit
    /// The reader took that many bytes.
    val consume: count: int -> receiver: Receiver -> unit
    /// The bits of BEP 29's selective acknowledgement: bit 0 is `ack_nr + 2`. Empty when there is no gap.
    val sack: receiver: Receiver -> Bytes
