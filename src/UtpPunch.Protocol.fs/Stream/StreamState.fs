namespace UtpPunch.Protocol

/// Where a stream stands.
[<Struct; RequireQualifiedAccess>]
type internal Phase =
    /// We sent a SYN.
    | SynSent
    /// We answered a SYN; its sender has not yet proved that it receives. Nothing but the SYN-ACK goes there.
    | SynReceived
    | Open
    /// Both sides have ended; a repeated FIN is still acknowledged, in case our last acknowledgement was lost.
    | Lingering
    | Dead

/// What a stream knows of the sizes of packets, both ways. Changes rarely, so it stands apart from what every step copies.
[<NoComparison; NoEquality>]
type internal Sizes =
    {
        Mtu: PathMtu
        /// Whether both sides have said that they know of probes.
        KnowsProbes: bool
        /// The bits of a probe that waits for its answer; 0 for none.
        ProbeHeard: uint64
        /// The peer's largest window so far, and the largest payload that it has sent.
        LargestWindow: uint32
        LargestHeard: int
    }

/// One stream. What happens to it is in the files below this one: `Handshake`, `Input` (which decide and send nothing),
/// `Output` (once a step, all that is due), `PacketBuilder`, `Delivery`, `Closing` and `Commands`.
/// The fields are mutable for the step that made the copy, and for it alone: whoever holds the original never sees a change.
[<NoComparison; NoEquality>]
type internal Connection =
    {
        ConnId: ConnId
        Remote: Endpoint
        Dialect: Dialect
        Options: StreamOptions
        Incoming: bool
        /// The ids in the packets that we receive and send.
        mutable ReceiveId: uint16
        mutable SendId: uint16
        /// The SYN's number: ours, or the peer's.
        mutable SynNr: SeqNr
        mutable WantsIds: bool
        Generation: int64
        Sender: Sender
        mutable Receiver: Receiver
        mutable Phase: Phase
        mutable Rtt: Rtt
        mutable Congestion: ICongestion
        /// Whether our SYN says that we know of probes.
        mutable SaysHello: bool
        mutable Sizes: Sizes
        /// The delay of our packets, as the peer measures it, and of the peer's, as we do.
        mutable OurDelay: Delay voption
        mutable TheirDelay: Delay voption
        /// How many round trips in a row were longer than what either way explains.
        mutable InflatedRtts: int
        /// What goes out as `timestamp_difference`.
        mutable Difference: uint32
        mutable IdleTimeout: Duration
        mutable LastHeardAt: Instant
        mutable LastSentAt: Instant
        /// When the peer last acknowledged something, or there was nothing to acknowledge.
        mutable LastProgressAt: Instant
        // Timers; `Time.never` while they do not run.
        mutable HandshakeAt: Instant
        mutable ExpiresAt: Instant
        mutable RetransmitAt: Instant
        /// How often it fired since the last sign of progress.
        mutable TimeoutsInARow: int
        mutable LossProbeAt: Instant
        /// How often a packet was sent again to provoke an acknowledgement since the last sign of progress.
        mutable LossProbes: int
        mutable WindowProbeAt: Instant
        mutable AckAt: Instant
        /// When the last acknowledgement is said once more, because the path loses packets and the peer has fallen silent.
        mutable EchoAt: Instant
        /// Until when the path counts as one that loses packets.
        mutable LossyUntil: Instant
        mutable QuietAt: Instant
        /// When the node looks at the stream at the latest: what its agenda has.
        mutable WakeAt: Instant
        mutable HandshakeTries: int
        mutable WindowProbes: int
        // Acknowledging.
        mutable Unacknowledged: int
        mutable AckNow: bool
        mutable Advertised: int
        // What the acknowledgements of this step add up to.
        mutable StepBytes: int
        mutable StepPackets: int
        mutable StepFlight: int
        mutable StepLost: int
        mutable StepDifference: uint32 voption
        mutable StepTheirDifference: uint32 voption
        mutable StepCongested: bool
        // What was told already.
        mutable ToldRoom: int
        mutable ToldEnded: bool
        mutable ToldFinished: bool
        /// The application is gone and waits that long for progress.
        mutable Released: Duration voption
        /// Our FIN went out before the peer's had come: the last acknowledgement will be ours, and may be lost.
        mutable ClosedFirst: bool
        mutable BytesAcknowledged: int64
        mutable BytesReceived: int64
        mutable PacketsSent: int64
        mutable PacketsReceived: int64
        mutable Timeouts: int64
        mutable Duplicates: int64
    }

module internal Connection =
    /// What is allowed for the peer's own delayed acknowledgement.
    let peersDelayedAck = Time.milliseconds 25

    /// How far behind an acknowledgement may lag (libutp allows 3 more than are in flight, for keep-alives).
    let ackSlack = 3

    let receiveIdOf dialect incoming (id: uint16) =
        match dialect, incoming with
        | Dialect.Bep29, true -> id + 1us
        | Dialect.Bep29, false -> id
        | Dialect.UtpPunch, true -> id
        | Dialect.UtpPunch, false -> id + 1us

    let sendIdOf dialect incoming id = receiveIdOf dialect (not incoming) id

    let private start (setup: ConnectionSetup) incoming synNr next receiver =
        let options, now = setup.Options, setup.Now

        { ConnId = setup.ConnId
          Remote = setup.Remote
          Dialect = setup.Dialect
          Options = options
          Incoming = incoming
          ReceiveId = receiveIdOf setup.Dialect incoming setup.Id
          SendId = sendIdOf setup.Dialect incoming setup.Id
          SynNr = synNr
          WantsIds = false
          Generation = 0L
          Sender = Sender.create options next
          Receiver = receiver
          Phase = if incoming then Phase.SynReceived else Phase.SynSent
          Rtt = Rtt.none
          Congestion = Ledbat(options.PacketSize - Packet.HeaderLength, options.TargetDelay)
          SaysHello = (setup.Dialect = Dialect.Bep29)
          Sizes =
            { Mtu = PathMtu.create (Endpoint.isIPv4 setup.Remote) options
              KnowsProbes = false
              ProbeHeard = 0UL
              LargestWindow = 0u
              LargestHeard = options.PacketSize - Packet.HeaderLength }
          OurDelay = ValueNone
          TheirDelay = ValueNone
          InflatedRtts = 0
          Difference = 0u
          IdleTimeout = options.IdleTimeout
          LastHeardAt = now
          LastSentAt = now
          LastProgressAt = now
          HandshakeAt = now
          ExpiresAt = Time.after setup.Timeout now
          RetransmitAt = Time.never
          TimeoutsInARow = 0
          LossProbeAt = Time.never
          LossProbes = 0
          WindowProbeAt = Time.never
          AckAt = Time.never
          EchoAt = Time.never
          LossyUntil = now
          QuietAt = now
          WakeAt = Time.never
          HandshakeTries = 0
          WindowProbes = 0
          Unacknowledged = 0
          AckNow = false
          Advertised = options.ReceiveBuffer
          StepBytes = 0
          StepPackets = 0
          StepFlight = 0
          StepLost = 0
          StepDifference = ValueNone
          StepTheirDifference = ValueNone
          StepCongested = false
          ToldRoom = options.SendBuffer
          ToldEnded = false
          ToldFinished = false
          Released = ValueNone
          ClosedFirst = false
          BytesAcknowledged = 0L
          BytesReceived = 0L
          PacketsSent = 0L
          PacketsReceived = 0L
          Timeouts = 0L
          Duplicates = 0L }

    /// A stream that is opened here; `isn` is its SYN's number.
    let dial (setup: ConnectionSetup) (isn: SeqNr) =
        // The receiver's number is not known before the SYN-ACK; until then nothing reaches it.
        let receiver = Receiver.create setup.Options.ReceiveBuffer (SeqNr 0us)
        start setup false isn (isn + 1) receiver

    /// A stream that a SYN with this number asks for; `first` is the number of our first data.
    let admit (setup: ConnectionSetup) (syn: SeqNr) (first: SeqNr) =
        start setup true syn first (Receiver.create setup.Options.ReceiveBuffer syn)

    let copy generation connection =
        { connection with
            Generation = generation
            Sender = Sender.copy connection.Sender
            Receiver = Receiver.copy connection.Receiver }

    let queueing connection =
        match connection.OurDelay with
        | ValueSome delay ->
            // What waits in a queue shows in the round trip too; a larger figure is a clock that jumped, or one that runs faster.
            let queueing = Delay.queueing delay
            let rtt = connection.Rtt
            ValueSome(if Rtt.isKnown rtt then min queueing (rtt.Latest - rtt.Least) else queueing)
        | ValueNone -> ValueNone

    /// Round trips that have to say the same before it is believed (RFC 9406: N_RTT_SAMPLE).
    let private inflatedSamples = 8

    /// RFC 9406, 4.2: an eighth of the round trip, but from 4 to 16 ms.
    let private inflationThreshold (rtt: Rtt) = max (Time.milliseconds 4) (min (Time.milliseconds 16) (rtt.Least / 8L))

    /// Whether no queue shows: half of what makes slow start stop hurrying (RFC 9406) and no more than 4 ms, for a short queue overflows
    /// early, and CoDel keeps one of 5. Samples of the round trip are rare while losses are repaired, so the delay alone must not show
    /// much either.
    let isQueueEmpty connection =
        match connection.OurDelay, queueing connection with
        | ValueSome delay, ValueSome queueing ->
            connection.InflatedRtts = 0
            && queueing <= min (Time.milliseconds 4) (connection.Rtt.Least / 16L)
            && Delay.queueing delay <= inflationThreshold connection.Rtt
        | _ -> false

    /// Takes a round trip whose packets were under way for so long, there and back. A receive call that comes late makes the round
    /// trip longer, but no delay that is measured from when the system has received a packet.
    let observeInflation roundTrip there back connection =
        match connection.OurDelay, connection.TheirDelay with
        | ValueSome ours, ValueSome theirs when there <> 0u ->
            let growth = roundTrip - connection.Rtt.Least
            let held = growth - Delay.excess there ours - Delay.excess back theirs

            connection.InflatedRtts <-
                if held >= inflationThreshold connection.Rtt then connection.InflatedRtts + 1 else 0
        | _ -> connection.InflatedRtts <- 0

    let isRttInflated connection = connection.InflatedRtts >= inflatedSamples

    let statistics connection : StreamStatistics =
        { RoundTrip = connection.Rtt.Smoothed
          RoundTripVariance = connection.Rtt.Variance
          RetransmitTimeout = Rtt.timeout connection.Options connection.Rtt
          CongestionWindow = connection.Congestion.Window
          InFlight = Sender.flight connection.Sender
          PeerWindow = Sender.peerWindow connection.Sender
          QueueingDelay = queueing connection |> ValueOption.defaultValue 0L<us>
          TargetDelay = connection.Options.TargetDelay
          MaxPayload = PathMtu.size connection.Sizes.Mtu - Packet.HeaderLength
          BytesAcknowledged = connection.BytesAcknowledged
          BytesReceived = connection.BytesReceived
          PacketsSent = connection.PacketsSent
          PacketsReceived = connection.PacketsReceived
          Retransmissions = Sender.retransmissions connection.Sender
          Timeouts = connection.Timeouts
          Duplicates = connection.Duplicates }
