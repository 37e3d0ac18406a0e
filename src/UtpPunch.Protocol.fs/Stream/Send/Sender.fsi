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
    /// Bytes that may still be written: the send buffer less what is queued and what is not acknowledged.
    val room: sender: Sender -> int
    /// How many packets may be in flight.
    val setPacketWindow: packets: int -> sender: Sender -> unit
    /// Whether bytes are queued that were never sent.
    val hasQueued: sender: Sender -> bool
    /// Whether nothing is outstanding but the FIN.
    val isOnlyFinOutstanding: sender: Sender -> bool
    /// Whether larger packets would be of use: at least a full one is queued or outstanding, and more may follow.
    val wantsLarger: sender: Sender -> bool

    /// Takes bytes that will never change. Throws when `finish` was called or the buffer has no room for them.
    val write: bytes: Owned -> sender: Sender -> unit
    /// A FIN follows what was written.
    val finish: sender: Sender -> unit
    /// The application was told that the peer has everything.
    val setFinished: sender: Sender -> unit

    /// As `Recovery.acknowledge`; the acknowledgement of the FIN ends the direction.
    val acknowledge:
        now: Instant ->
        rtt: Rtt ->
        ackNr: SeqNr ->
        sack: Borrowed ->
        isRanges: bool ->
        isBare: bool ->
        sender: Sender ->
            Acknowledged

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
