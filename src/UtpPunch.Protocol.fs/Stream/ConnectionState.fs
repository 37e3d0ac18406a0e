namespace UtpPunch.Protocol

/// The ids in the packets that we receive and send, and the number of the SYN: ours, or the peer's.
[<Struct; NoComparison>]
type internal Ids = { Receive: uint16; Send: uint16; Syn: SeqNr }

module internal Ids =
    let receive dialect incoming (id: uint16) =
        match dialect, incoming with
        | Dialect.Bep29, true -> id + 1us
        | Dialect.Bep29, false -> id
        | Dialect.UtpPunch, true -> id
        | Dialect.UtpPunch, false -> id + 1us

    let private send dialect incoming id = receive dialect (not incoming) id

    /// `id` is what the SYN carries, in the dialect's numbering.
    let create dialect incoming id syn =
        { Receive = receive dialect incoming id; Send = send dialect incoming id; Syn = syn }

/// What is known of the sizes of packets, both ways. Changes rarely, so it is an object of its own, not copied with every step.
[<NoComparison; NoEquality>]
type internal Sizes =
    {
        Mtu: PathMtu
        /// Whether our SYN announces that we answer path probes.
        OffersProbes: bool
        /// Whether both sides have announced that.
        KnowsProbes: bool
        /// Whether both sides have announced how many packets they take ahead of a missing one: windows may be long, and selective
        /// acknowledgements are ranges.
        KnowsReach: bool
        /// The bits that answer the peer's last probe or challenge; 0 if that is done.
        Reply: uint64
        /// The peer's largest window so far, and the largest payload that it has sent.
        LargestWindow: uint32
        LargestPayload: int
    }

/// The round trips have become longer from one packet to the next; see `PathChange`.
[<Sealed; AllowNullLiteral>]
type internal PathStep
    (at: Instant, from: Duration, size: Duration, ours: int, leastRoundTrip: Duration, leastThere: uint32, samples: int)
    =
    member _.At = at
    /// The least round trip before, and how much longer they became.
    member _.From = from
    member _.Size = size
    /// How much longer the delay of our packets became, in microseconds.
    member _.Ours = ours
    /// The least round trip since then, and the least delay of our packets.
    member _.LeastRoundTrip = leastRoundTrip
    member _.LeastThere = leastThere
    member _.Samples = samples

/// The delays of packets.
[<Struct; NoComparison; NoEquality>]
type internal Delays =
    {
        /// The delay of our packets, as the peer measures it, and of the peer's, as we do.
        mutable Ours: Delay voption
        mutable Theirs: Delay voption
        /// What is sent as `timestamp_difference`, without the offset of our clock; once a packet was measured.
        mutable Difference: uint32
        mutable IsMeasured: bool
        /// How many round trips in a row were longer than the delays of both ways explain.
        mutable InflatedRtts: int
        /// What they leave unexplained at least, in microseconds.
        mutable LeastUnexplained: int
        /// When the last round trip was measured, `Time.never` before the first, and the delay of our packets in it; 0 for none.
        mutable SampledAt: Instant
        mutable Sample: uint32
        /// The delay of the peer's packets then.
        mutable BackSample: uint32
        /// Null while the path is as long as it was.
        mutable Step: PathStep
    }

[<Struct; NoComparison; NoEquality>]
type internal Activity =
    {
        /// When the peer was last heard of.
        mutable HeardAt: Instant
        mutable SentAt: Instant
        /// When the peer last acknowledged something, or there was nothing to acknowledge.
        mutable ProgressAt: Instant
    }

/// How often each timer fired since the last sign of progress.
[<Struct; NoComparison; NoEquality>]
type internal Attempts =
    {
        mutable Handshake: int
        /// Which of the SYNs a closed port has answered last, 0 for none.
        mutable Refused: int
        mutable Timeouts: int
        mutable LossProbes: int
        mutable WindowProbes: int
    }

/// The acknowledgement that is due.
[<Struct; NoComparison; NoEquality>]
type internal Acks =
    {
        /// Until when the path counts as one that loses packets.
        mutable LossyUntil: Instant
        /// Packets received in order and not acknowledged.
        mutable Pending: int
        /// The window that was advertised last.
        mutable Advertised: int
        /// Whether the acknowledgement must not be delayed.
        mutable Immediate: bool
        /// Whether it asks the peer for a response, because a packet may be forged.
        mutable IsChallenge: bool
    }

/// What the packets of this step add up to: delay and congestion are evaluated once for all of them.
[<Struct; NoComparison; NoEquality>]
type internal Sums =
    {
        /// The least delay of the peer's packets, and of ours, on their own scales; 0 for none of ours. Any number is a delay of theirs.
        /// (An option would be two stores and one load of both, for each packet.)
        mutable TheirDifference: uint32
        mutable HasTheirDifference: bool
        mutable Difference: uint32
        mutable Bytes: int
        mutable Packets: int
        /// Bytes in flight before the first of them.
        mutable Flight: int
        mutable Lost: int
        mutable Congested: bool
    }

/// What a stream in TIME-WAIT knows of its peer; see `Farewell`. An object of its own, since it changes in the end only.
[<NoComparison; NoEquality>]
type internal Parting =
    {
        /// The peer has announced that both directions have ended there, too.
        PeerEnded: bool
        /// It waits for the same announcement from us, and asks again after that long.
        IsAsked: bool
        EnquiresAfter: Duration
        /// How often our last acknowledgement was sent. `Timers.Echo` repeats it.
        Repetitions: int
        /// From when on the process may exit if nothing arrives before, and whether it may.
        QuietAt: Instant
        IsQuiet: bool
    }

    /// That of all streams that have not ended.
    static member val None =
        { PeerEnded = false
          IsAsked = false
          EnquiresAfter = 0L<us>
          Repetitions = 0
          QuietAt = 0L<us>
          IsQuiet = true }

[<Struct; NoComparison; NoEquality>]
type internal ClosingState =
    {
        /// Once the application has released the stream, it is aborted without progress for that long, and at the latest then.
        mutable ReleaseTimeout: Duration
        mutable ReleaseBy: Instant
        mutable Parting: Parting
        /// The application neither reads nor writes any more.
        mutable Released: bool
        /// Our FIN was sent before the peer's had come (RFC 9293: active close): the last acknowledgement will be ours, and may be lost.
        mutable ActiveClose: bool
        /// Bytes arrived that the application, which has released the stream, will never read.
        mutable HasLostBytes: bool
    }

[<Struct; NoComparison; NoEquality>]
type internal Counters =
    { mutable BytesAcknowledged: int64
      mutable BytesReceived: int64
      mutable PacketsSent: int64
      mutable PacketsReceived: int64
      mutable Timeouts: int64
      mutable Duplicates: int64 }

/// Whether the application has to decide about a half-open stream (`Effect.Asked`).
[<Struct; RequireQualifiedAccess>]
type internal Admission =
    /// It does not have to, or has admitted it.
    | Granted
    /// The SYN is not answered before it has.
    | Asked
    /// The SYN was answered by a cookie, and the packet that confirms that waits.
    | AskedLate

/// One stream. `Connection.fsi` explains its states.
///
/// A value of this type may be written, in place, by the step that made it, and by nothing else: the node's table holds
/// `Connection.Stored`, which can only be read, and copied into a step.
[<NoComparison; NoEquality>]
type internal Connection =
    {
        ConnId: ConnId
        /// Packets leave from its `Local`: the own address that the peer has dialled, or that has received the SYN-ACK.
        mutable Remote: Endpoint
        Dialect: Dialect
        /// Those of the node; of its own once the application has set one.
        mutable Options: StreamOptions
        Incoming: bool
        /// The step that made this copy.
        Generation: int64
        mutable Ids: Ids
        mutable State: StreamState
        mutable Admission: Admission
        mutable Receiving: ReceiveState
        /// Holds the state of the sending direction.
        Sender: Sender
        mutable Receiver: Receiver
        mutable Rtt: Rtt
        mutable Congestion: ICongestionController
        mutable Sizes: Sizes
        mutable Delays: Delays
        mutable Clocks: Clocks
        /// Null for a stream that has no link.
        mutable Linked: LinkedStream
        mutable Timers: Timers
        mutable Attempts: Attempts
        mutable Activity: Activity
        mutable Acks: Acks
        mutable Sums: Sums
        mutable Closing: ClosingState
        mutable Counters: Counters
        /// When the node looks at the stream at the latest: what its timer queue has.
        mutable WakeAt: Instant
        /// The room to write that the application knows of.
        mutable ReportedRoom: int
        /// What it counts for in `Node.Held`, and whether it counts as a stream of its address.
        mutable CountedBytes: int
        mutable IsCounted: bool
        /// As in `ConnectionSetup`.
        PrimingHops: byte
    }

    member connection.Board = Sender.board connection.Sender
    member connection.MeetingKey = if isNull connection.Linked then null else connection.Linked.Key
    /// Whether only the path time-out of its meeting ends it.
    member connection.IsHeldOpen = connection.IsSuspended && not (isNull connection.Linked.Key)
    member connection.IsSuspended = not (isNull connection.Linked) && connection.Linked.IsSuspended
    /// Whether nothing is sent before the application has decided.
    member connection.IsUndecided = connection.Admission <> Admission.Granted
    member connection.IsSimultaneous = connection.PrimingHops > 0uy

/// Margins for the behavior of any peer.
module internal Peer =
    /// Its delayed acknowledgement.
    let delayedAck = Time.milliseconds 25

    /// How far behind an acknowledgement may lag (libutp allows 3 more than are in flight, for keep-alives).
    let ackSlack = 3
