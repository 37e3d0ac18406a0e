namespace UtpPunch.Protocol

/// The sending half of a stream: what waits to be sent, what is in flight and what became of it.
/// Loss shows by selective acknowledgements, by repeated cumulative ones, or by the clock; when to ask is the caller's business.
/// A step works on a `copy`; whoever holds the original never sees a change.
[<Sealed>]
type Sender

module Sender =
    /// `next` is the number of the first packet to come.
    val create: options: StreamOptions -> next: SeqNr -> Sender
    val copy: sender: Sender -> Sender
    /// The first packet gets another number. Nothing may have been sent yet.
    val renumber: next: SeqNr -> sender: Sender -> unit

    /// The next new sequence number.
    val next: sender: Sender -> SeqNr
    /// The oldest number that is not acknowledged; `next` when everything is.
    val oldest: sender: Sender -> SeqNr
    /// Packets sent and not cumulatively acknowledged.
    val packets: sender: Sender -> int
    /// The most packets that were ever outstanding at once: how far an acknowledgement in order may lag.
    val peakPackets: sender: Sender -> int
    /// Bytes in flight: sent, not acknowledged, not held for lost.
    val flight: sender: Sender -> int
    /// Bytes that may still be written: the send buffer less what waits and what is not acknowledged.
    val room: sender: Sender -> int
    /// Whether bytes wait that were never sent.
    val hasQueued: sender: Sender -> bool
    /// Whether packets wait to be sent again.
    val hasLost: sender: Sender -> bool
    /// Whether the FIN was sent and acknowledged.
    val isFinished: sender: Sender -> bool
    /// Whether all that is not acknowledged is the FIN.
    val isFinishing: sender: Sender -> bool
    /// New data is cut into packets that carry so many bytes from here on; what has its number already stays as it is.
    val setPayload: payload: int -> sender: Sender -> unit
    /// The payload bytes of the oldest packet that is out; 0 without any, and for a FIN.
    val oldestSize: sender: Sender -> int
    /// The most payload bytes of a packet that is out and not known to have arrived; 0 without any.
    val longest: sender: Sender -> int
    /// Whether larger packets would be of use: at least a full one waits or is out, and more may follow.
    val wantsLarger: sender: Sender -> bool
    val peerWindow: sender: Sender -> int64
    val retransmissions: sender: Sender -> int64

    /// Takes bytes that will never change. Throws when `finish` was called or the buffer has no room for them.
    val write: bytes: Owned -> sender: Sender -> unit
    /// A FIN follows what was written.
    val finish: sender: Sender -> unit

    /// Takes an acknowledgement that is neither older than `oldest - 1` nor covers what was never sent. `isBare` for a packet
    /// without payload, which may count as a duplicate acknowledgement.
    val acknowledge:
        now: Instant -> rtt: Rtt -> ackNr: SeqNr -> sack: Borrowed -> isBare: bool -> sender: Sender -> Acknowledged

    /// The peer's window, from a packet with this timestamp that acknowledges nothing older than the last one.
    val advertise: window: int64 -> stamp: uint32 -> advanced: bool -> sender: Sender -> unit

    /// The next packets to send again that fit the congestion window, marked as sent; null when there are none.
    val retransmit: now: Instant -> window: int -> sender: Sender -> Run
    /// The next new packets (or the FIN) that both windows admit, marked as sent; null when there are none.
    val sendNew: now: Instant -> window: int -> sender: Sender -> Run
    /// One new packet against the peer's closed window; null unless only that keeps bytes waiting.
    val probeWindow: now: Instant -> sender: Sender -> Run
    /// Whether nothing is outstanding and bytes wait only because the peer's window is closed.
    val isBlocked: sender: Sender -> bool
    /// The highest packet in flight once more, or the oldest, to provoke an acknowledgement. Null when there is none.
    val probeLoss: now: Instant -> highest: bool -> sender: Sender -> Run
    /// When a packet becomes so old that it is lost and not late, as far as others behind it have arrived; `Time.never` for none.
    val overdueAt: sender: Sender -> Instant
    /// Holds for lost what is overdue. How many packets that are, and whether no answer to earlier ones is under way.
    val findOverdue: now: Instant -> rtt: Rtt -> sender: Sender -> struct (int * bool)
    /// Whether the peer names what it holds. Without that, a loss that is taken for nothing would be repaired late (RFC 6582).
    val isTolerant: sender: Sender -> bool
    /// The losses found last are no congestion. What is found lost later may be one, also within the same round trip.
    val tolerate: sender: Sender -> unit
    /// The retransmission timer fired: everything in flight is held for lost. Gives the bytes that are not acknowledged.
    val timeOut: sender: Sender -> int
