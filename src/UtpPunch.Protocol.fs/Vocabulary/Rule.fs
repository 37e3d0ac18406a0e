namespace UtpPunch.Protocol

/// The uncommon rules of the protocol. Each use of one is a counter, a log line and a coverage mark.
[<RequireQualifiedAccess>]
type Rule =
    /// The chain of extensions ran over the end of the packet.
    | MalformedExtension
    /// A packet for a stream that is not known.
    | UnknownConnection
    /// A SYN while the node does not listen.
    | NotListening
    /// A SYN beyond the limit of streams.
    | TooManyConnections
    /// A SYN beyond the limit of streams of its address.
    | TooManyFromAddress
    /// A stream that has never carried data made room for another one.
    | UnusedEvicted
    /// A SYN was answered without being remembered, because there are too many half-open streams.
    | SynCookieSent
    /// A packet confirmed a SYN-ACK that was not remembered.
    | SynCookieAccepted
    /// The accept queue was full.
    | AcceptQueueFull
    /// The application has refused a peer.
    | PeerRefused
    /// A half-open stream was never confirmed, or by wrong numbers only.
    | HalfOpenExpired
    /// A SYN whose ids are those of another stream.
    | IdCollision
    /// A repeated SYN, answered by the same SYN-ACK.
    | RepeatedSyn
    /// The SYN or SYN-ACK was retransmitted.
    | HandshakeRetransmit
    /// A packet acknowledged what was never sent, or lay too far back.
    | AckOutOfRange
    /// A packet does not echo a time stamp of the last round trips.
    | TimestampOutOfRange
    /// A packet's sequence number lay outside the reorder window.
    | SeqOutOfRange
    /// A packet that had been received already.
    | Duplicate
    /// A packet that is a late copy of one that had the same number, 65536 packets before.
    | OldDuplicate
    /// A packet that arrived ahead of a missing one.
    | OutOfOrder
    /// The peer sent more than the advertised window.
    | WindowOverrun
    /// A packet was dropped, because the node or the stream holds as much as the memory budget allows.
    | MemoryExhausted
    /// A packet behind the peer's FIN, or a second, different FIN.
    | BeyondFin
    /// Data for a stream that the application has released.
    | DataAfterRelease
    /// A packet that is not valid in the state of its stream.
    | UnexpectedPacket
    /// A RESET whose numbers do not match the stream.
    | ResetOutOfRange
    /// A RESET closed the stream.
    | ResetAccepted
    /// A RESET was suppressed by the rate limit.
    | ResetSuppressed
    /// Packets were declared lost by (selective) acknowledgements.
    | FastRetransmit
    /// Few packets were lost, without queueing delay: they are retransmitted, and the congestion window is kept.
    | LossTolerated
    /// The retransmission timer fired.
    | RetransmitTimeout
    /// The oldest packet was retransmitted ahead of the retransmission timer, to elicit an acknowledgement (RFC 8985: tail loss probe).
    | LossProbe
    /// The peer's window is zero, and a window probe was sent.
    | WindowProbe
    /// A keep-alive was sent.
    | KeepAlive
    /// A path MTU probe was sent.
    | PathProbe
    /// A path MTU probe, or an answer to one, that was not negotiated or does not match.
    | PathProbeIgnored
    /// Packets larger than the minimum were lost repeatedly: packets are smaller from here on (RFC 8899: black hole detection).
    | BlackHole
    /// The system or a router reported that packets are too long: they are smaller from here on.
    | PathShrunk
    /// Packets that the system was given together were lost, and those given alone have arrived: they are sent one by one for ten minutes.
    | TrainsLost
    /// The path of a link is in doubt: all of its paths are probed.
    | PathSuspected
    /// The path does not answer: the streams wait until one is found.
    | PathLost
    /// The streams of a link go on over another path, or over the one that was lost.
    | PathSwitched
    /// No path was found in time: the streams end.
    | PathTimedOut
    /// A packet of a punch, or of a link, that is not authentic or was received before; or a second, other share of a key.
    | ProbeRejected
    /// A packet of a punch came from a new address, which becomes a candidate (peer-reflexive).
    | PathLearnt
    /// An introduction whose offer is not authentic under the room's key.
    | OfferRejected
