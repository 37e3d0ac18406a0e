namespace UtpPunch.Protocol

/// How a packet with a sequence number was classified.
[<Struct; RequireQualifiedAccess>]
type internal Arrival =
    | InOrder
    /// Held until the packets before it have arrived.
    | OutOfOrder
    | Duplicate
    /// A copy of an earlier packet that had the same number: dropped.
    | Old
    /// Outside of the reorder window: dropped.
    | OutOfRange
    /// Beyond the window that was advertised: dropped.
    | Overrun
    /// Behind the peer's FIN, or a FIN that contradicts what was received: dropped.
    | BeyondFin

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Receiver =
    /// How many packets ahead of the next one are held at most, as in libutp, unless `setReach` says otherwise.
    [<Literal>]
    val ReorderWindow: int = 1024

    /// `ackNr` is the number before the peer's first data; `capacity` limits the bytes that were received and not consumed.
    val create: capacity: int -> ackNr: SeqNr -> Receiver
    val copy: receiver: Receiver -> Receiver
    /// The last number received in order: BEP 29's `ack_nr`.
    val ackNr: receiver: Receiver -> SeqNr
    /// The window to advertise (RFC 9293: RCV.WND): the capacity, or the limit, less what was delivered and not consumed.
    val window: receiver: Receiver -> int
    /// Bytes that were delivered and not consumed.
    val unread: receiver: Receiver -> int
    /// Limits the bytes that may be held, below the capacity, until further notice.
    val setLimit: limit: int -> receiver: Receiver -> unit
    val isLimited: receiver: Receiver -> bool
    /// How many packets ahead of the next one are held at most.
    val setReach: packets: int -> receiver: Receiver -> unit
    /// Bytes held: received and not consumed, or behind a gap, where each packet and each range count some more.
    val held: receiver: Receiver -> int
    /// Whether packets are held behind a missing one.
    val hasGap: receiver: Receiver -> bool
    /// Whether everything up to the peer's FIN was received.
    val isComplete: receiver: Receiver -> bool
    /// Whether this packet is held behind a missing one.
    val isHeld: seqNr: SeqNr -> receiver: Receiver -> bool
    /// Whether this number is within the reorder window.
    val isInRange: seqNr: SeqNr -> receiver: Receiver -> bool
    /// Whether a round trip has passed since the last `tune`; `at` is a `Time.stamp`.
    val isRoundOver: at: uint32 -> receiver: Receiver -> bool
    /// Ends a round. Lets the capacity grow, up to `limit`, while the reader keeps up: to eight times what has arrived in it. The next round is as
    /// long as the round trip that a packet shows, in microseconds; 0 for none.
    val tune: at: uint32 -> roundTrip: int -> limit: int -> receiver: Receiver -> unit
    /// Bytes have arrived in this round.
    val count: bytes: int -> receiver: Receiver -> unit
    /// The packet with this time stamp has arrived, and packets behind `before` are in order now.
    val pass: before: SeqNr -> stamp: uint32 -> at: Instant -> receiver: Receiver -> unit
    /// Whether a packet that seems to lie ahead is an old copy of one that had the same number, 65536 packets before (RFC 7323, 5: PAWS). The
    /// peer sends no packet before it knows that the one as far behind as it reaches has arrived here, so none is stamped earlier than that.
    val isOld: seqNr: SeqNr -> stamp: uint32 -> now: Instant -> receiver: Receiver -> bool
    /// Takes a DATA or FIN packet. What is in order is not copied and must be drained in the same step; what is held is copied, so that it
    /// does not keep the buffer it was received in.
    val accept: seqNr: SeqNr -> payload: Borrowed -> isFin: bool -> receiver: Receiver -> Arrival
    /// Takes a DATA packet as `accept` does if it is the next one, nothing is held, and nothing else is to be told of it. False if not; then
    /// nothing has changed.
    val tryAppend: seqNr: SeqNr -> stamp: uint32 -> payload: Borrowed -> receiver: Receiver -> bool
    /// The data of a receive call is complete: it is not joined with what follows.
    val seal: receiver: Receiver -> unit
    /// Hands over what was received in order since the last call.
    val drain: deliver: (Payload -> unit) -> receiver: Receiver -> unit
    /// The reader has taken `count` bytes.
    val consume: count: int -> receiver: Receiver -> unit
    /// The bits of BEP 29's selective acknowledgement: bit 0 is `ack_nr + 2`. Empty when there is no gap.
    val sack: receiver: Receiver -> Owned
    /// The same as `SackRanges`: all of them, or those that have changed last if there are too many, so that each is reported several times
    /// (RFC 2018, 4).
    val ranges: receiver: Receiver -> Owned
