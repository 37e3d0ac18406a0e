namespace UtpPunch.Protocol

/// What one stream measured and counted.
[<NoComparison>]
type StreamStatistics =
    {
        /// Where the stream stands, and each of its directions.
        State: StreamState
        Sending: SendState
        Receiving: ReceiveState
        /// RFC 6298's smoothed round-trip time; 0 before the first sample.
        RoundTrip: Duration
        RoundTripVariance: Duration
        /// The retransmission time-out in force, back-off included.
        RetransmitTimeout: Duration
        /// The congestion window, in bytes.
        CongestionWindow: int
        /// Bytes per second that may be sent; 0 for no limit.
        PacingRate: int64
        /// The rate that acknowledgements showed last, in bytes per second; 0 before the first.
        DeliveryRate: int64
        /// Where the congestion control stands, in its own word.
        Phase: string
        /// The application, not the path, has limited what was sent last.
        IsAppLimited: bool
        /// Bytes sent and neither acknowledged nor held for lost.
        InFlight: int
        /// The window that the peer advertised last, in bytes.
        PeerWindow: int64
        /// The queueing delay of our packets (RFC 6817).
        QueueingDelay: Duration
        /// The delay that the congestion control aims at.
        TargetDelay: Duration
        /// The most payload bytes that one packet carries.
        MaxPayload: int
        /// Payload bytes that the peer acknowledged.
        BytesAcknowledged: int64
        /// Payload bytes received in order.
        BytesReceived: int64
        PacketsSent: int64
        PacketsReceived: int64
        /// Packets that were retransmitted, for any reason.
        Retransmissions: int64
        /// Payload bytes that were found lost, each time that they were.
        BytesLost: int64
        /// Times that the retransmission timer fired.
        Timeouts: int64
        /// Packets received that had been received before.
        Duplicates: int64
    }

/// How many streams a node has, by kind.
[<Struct; NoComparison>]
type NodeStatistics =
    {
        /// Accepted streams, half-open ones not included.
        Incoming: int
        /// Streams opened here, from the connect on.
        Outgoing: int
        /// Streams whose opener has not yet proved that it receives.
        HalfOpen: int
        /// Ended streams that still answer a repeated FIN.
        Lingering: int
        /// Bytes of received data that all streams hold; see `NodeOptions.ReceiveBudget`.
        HeldBytes: int64
    }
