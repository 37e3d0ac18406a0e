namespace UtpPunch.Protocol

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Sender =
    /// `next` is the number of the first packet.
    val create: options: StreamOptions -> next: SeqNr -> Sender
    val copy: sender: Sender -> Sender

    val board: sender: Sender -> Scoreboard
    val state: sender: Sender -> SendState
    /// The window that the peer advertises (RFC 9293: SND.WND).
    val peerWindow: sender: Sender -> int64
    /// Bytes that are queued, or sent and not acknowledged.
    val unacknowledged: sender: Sender -> int
    /// Bytes that may still be written: the send buffer less those.
    val room: sender: Sender -> int
    /// The peer takes long windows: this number of packets may be in flight, and the send buffer may grow.
    val lengthen: packets: int -> sender: Sender -> unit
    /// The send buffer grows to twice what is in flight, or what the congestion window and the peer's admit, if it holds the writer back:
    /// a round trip of bytes that are acknowledged, and one of bytes that follow.
    val grow: window: int -> sender: Sender -> unit
    /// The send buffer is as it was at first. The application may write what it has been told before.
    val shrink: sender: Sender -> unit
    /// Whether bytes are queued that were never sent.
    val hasQueued: sender: Sender -> bool
    /// Whether nothing is outstanding but the FIN.
    val isOnlyFinOutstanding: sender: Sender -> bool
    /// Whether larger packets would be of use: at least a full one is queued or outstanding, and more may follow.
    val wantsLarger: sender: Sender -> bool

    /// Takes bytes that will never change. Throws when `finish` was called or there are more than the buffer could
    /// ever have room for.
    val write: bytes: Owned -> sender: Sender -> unit
    /// A FIN follows what was written.
    val finish: sender: Sender -> unit
    /// The application was told that the peer has everything.
    val setFinished: sender: Sender -> unit

    /// As `Recovery.acknowledge`; the acknowledgement of the FIN ends the direction.
    val acknowledge:
        now: Instant ->
        sentBy: Instant ->
        rtt: Rtt ->
        ackNr: SeqNr ->
        sack: Borrowed ->
        isRanges: bool ->
        isBare: bool ->
        sender: Sender ->
            Acknowledged

    /// The peer's window, from its SYN-ACK: the clock of that is another one than that of all other packets.
    val advertiseUnstamped: window: int64 -> sender: Sender -> unit
    /// The peer's window, from a packet with this timestamp that acknowledges nothing older than the last one. `advanced` when it
    /// acknowledges something new.
    val advertise: window: int64 -> stamp: uint32 -> advanced: bool -> sender: Sender -> unit

    /// The next new packets (or the FIN) that both windows admit, marked as sent; null when there are none.
    /// Of `quantum` bytes at most, but at least one packet.
    val sendNew: now: Instant -> window: int -> quantum: int -> sender: Sender -> Run
    /// Whether something waits that both windows admit.
    val hasDue: window: int -> sender: Sender -> bool
    /// Whether the peer's window, or its reach, holds back a full packet.
    val isHeldByPeer: sender: Sender -> bool
    /// One new packet against the peer's closed window; null unless that window alone holds bytes back.
    val probeWindow: now: Instant -> sender: Sender -> Run
    /// Whether nothing is outstanding and bytes are queued only because the peer's window is closed.
    val isBlocked: sender: Sender -> bool
