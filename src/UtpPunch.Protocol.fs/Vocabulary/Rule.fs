namespace UtpPunch.Protocol

/// What an uncommon packet or moment ran into. Counter, log line and coverage mark in one.
[<RequireQualifiedAccess>]
type Rule =
    /// The chain of extensions ran over the end of the packet.
    | MalformedExtension
    /// A packet for no stream of ours.
    | UnknownConnection
    /// A SYN while nobody listens.
    | NotListening
    /// A SYN beyond the total cap.
    | TooManyConnections
    /// A half-open stream made room for a newer one.
    | HalfOpenEvicted
    /// The accept queue was full.
    | AcceptQueueFull
    /// A half-open stream was never confirmed.
    | HalfOpenExpired
    /// A SYN that named the ids of another stream.
    | IdCollision
    /// A SYN came again; it got the same SYN-ACK again.
    | RepeatedSyn
    /// The SYN or SYN-ACK was sent again.
    | HandshakeRetransmit
    /// A packet acknowledged what was never sent, or lay too far back.
    | AckOutOfRange
    /// A packet's sequence number lay outside the reorder window.
    | SeqOutOfRange
    /// A packet that had been received already.
    | Duplicate
    /// A packet that arrived ahead of its turn.
    | OutOfOrder
    /// The peer sent more than the advertised window.
    | WindowOverrun
    /// A packet behind the peer's FIN, or a second, different FIN.
    | BeyondFin
    /// Data for a stream that the application has released.
    | DataAfterRelease
    /// A packet that makes no sense in the state of its stream.
    | UnexpectedPacket
    /// A RESET that did not fit the window.
    | ResetOutOfRange
    /// A RESET closed the stream.
    | ResetAccepted
    /// A RESET that would have been due was not sent: too many already.
    | ResetSuppressed
    /// Packets were declared lost by (selective) acknowledgements.
    | FastRetransmit
    /// Packets were lost without a queue, and few of many: they are sent again, and the congestion window stays what it is.
    | LossTolerated
    /// The retransmission timer fired.
    | RetransmitTimeout
    /// The oldest packet was sent again ahead of the retransmission timer, to provoke an acknowledgement.
    | LossProbe
    /// The peer's window is zero; one packet asks whether it still is.
    | WindowProbe
    /// A keep-alive was sent.
    | KeepAlive
    /// A packet without data asked whether the path carries its size.
    | PathProbe
    /// A probe, or an answer to one, from a peer that never said that it knows of them, or that fits nothing that was asked.
    | PathProbeIgnored
    /// What was larger than every path carries vanished time after time: packets are smaller from here on.
    | BlackHole
    /// The system or the path said that packets are too long, and they are smaller from here on.
    | PathShrunk
    /// A packet of a punch that its key did not sign, or that had come before.
    | ProbeRejected
    /// The address of a punch's packet was new: it is tried as well.
    | PathLearnt
    /// An introduction whose offer the room's key did not seal.
    | OfferRejected
