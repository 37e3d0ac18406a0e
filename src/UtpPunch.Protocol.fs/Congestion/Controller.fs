namespace UtpPunch.Protocol

/// What one step of a stream tells its congestion controller: everything that was acknowledged, and everything that was found lost. Sizes
/// are in bytes of payload, times in microseconds.
[<Struct; NoComparison>]
type CongestionSample =
    {
        /// When the newest of the acknowledgements arrived; if there is none, when a timer found the losses.
        Now: Instant
        /// Newly acknowledged, cumulatively or selectively, and the packets that carried it.
        Bytes: int
        Packets: int
        /// Newly found lost: bytes, packets, and runs of consecutive packets.
        LostBytes: int
        LostPackets: int
        LostRanges: int
        /// The losses are the first since the last congestion event: its recovery has ended (RFC 6675), or it was tolerated.
        IsFirstLoss: bool
        /// Packets that had counted as lost have arrived after all.
        SpuriousPackets: int
        /// In flight before and after this step's acknowledgements and losses.
        FlightBefore: int
        Flight: int
        /// All that was ever acknowledged, and what it was when the newest of the packets was sent.
        Delivered: int64
        PriorDelivered: int64
        /// The rate at which the newest packet and those before it were delivered, in bytes per second (draft-ietf-ccwg-bbr, 4.1); 0 for none.
        DeliveryRate: int64
        /// The sender, not the path, has limited that rate.
        IsAppLimited: bool
        /// In flight when the newest packet was sent, that one included, and what was found lost since then.
        SentFlight: int
        LostSince: int
        /// The round trip of the newest packet that was sent once; 0 for none. The smoothed one (RFC 6298), and the least; 0 before the first.
        RoundTrip: Duration
        Smoothed: Duration
        Least: Duration
        /// Whether the peer measures the delay of our packets; if so, the queueing delay (RFC 6817), and whether no queue shows: the delay is
        /// hardly above its least.
        HasQueueing: bool
        Queueing: Duration
        IsQueueEmpty: bool
        /// Round trips are longer, and the delay of neither direction is: packets wait in the peer's socket.
        IsRttInflated: bool
        /// Since the last sample, the congestion window has held something back; or the peer's window has.
        IsWindowLimited: bool
        IsPeerLimited: bool
        /// Whether the peer names packets that have arrived ahead of order. Without that, the oldest loss hides all others.
        HasSack: bool
        /// A number that differs from stream to stream, for random choices.
        Salt: uint32
    }

/// A congestion controller. An immutable value: each call gives the next one and changes nothing. Integers only, so that the same
/// samples give the same windows on every machine.
[<AllowNullLiteral>]
type ICongestionController =
    /// Bytes that may be in flight. Never less than one packet.
    abstract Window: int
    /// Bytes per second that may be sent, averaged over a few milliseconds; `System.Int64.MaxValue` for no limit.
    abstract PacingRate: int64
    /// Where the controller stands, in a word for statistics and traces.
    abstract Phase: string
    /// Packets were acknowledged or found lost.
    abstract Observe: sample: inref<CongestionSample> -> ICongestionController
    /// What was found lost last is the path's own loss, not congestion: a further loss counts as a first one.
    abstract IsLossTolerated: bool
    /// Nothing was acknowledged for a whole retransmission time-out, with that many bytes in flight.
    abstract TimedOut: flight: int -> ICongestionController
    /// A full packet carries that many bytes from here on. When these are more than before, at least two of them may be in flight; when
    /// they are fewer, the window stays what it is.
    abstract Resized: packet: int -> ICongestionController
    /// Something is sent with nothing in flight; the smoothed round trip, 0 before the first was measured.
    abstract Restarted: now: Instant * roundTrip: Duration -> ICongestionController

/// What a controller starts from.
[<Struct; NoComparison>]
type CongestionStart =
    {
        /// The payload bytes of a full packet.
        Packet: int
        /// The queueing delay that a controller which yields aims at.
        TargetDelay: Duration
        /// The window of the controller before, in bytes; 0 for none. And the round trip, 0 before the first was measured.
        Window: int
        RoundTrip: Duration
    }

/// A kind of congestion control: its name, and how its controllers start.
[<Sealed; AllowNullLiteral>]
type CongestionControl(name: string, start: System.Func<CongestionStart, ICongestionController>) =
    /// As in statistics, traces and on the command line: lower-case letters, digits and hyphens.
    member _.Name = name
    member _.Start(from: CongestionStart) = start.Invoke from
    override _.ToString() = name
