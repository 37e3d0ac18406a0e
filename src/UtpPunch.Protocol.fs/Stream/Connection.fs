namespace UtpPunch.Protocol

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal Connection =
    [<Struct; NoComparison; NoEquality>]
    type Stored =
        private
            { Connection: Connection }

        member stored.ConnId = stored.Connection.ConnId
        member stored.Remote = stored.Connection.Remote
        member stored.Incoming = stored.Connection.Incoming
        member stored.Ids = stored.Connection.Ids
        member stored.IsMeeting = not (isNull stored.Connection.MeetingKey)
        /// The number of its link; 0 for a stream without one.
        member stored.Session = if isNull stored.Connection.Linked then 0UL else stored.Connection.Linked.Session
        member stored.HeardAt = stored.Connection.Activity.HeardAt
        member stored.Fits(header: inref<Header>) = Input.isInRange &header stored.Connection
        member stored.State = stored.Connection.State
        member stored.IsSimultaneous = stored.Connection.IsSimultaneous
        member stored.Generation = stored.Connection.Generation
        member stored.WakeAt = stored.Connection.WakeAt

        member stored.IsUnusedSince(since: Instant) =
            let connection = stored.Connection

            connection.State = StreamState.Established
            && connection.Incoming
            && isNull connection.MeetingKey
            && connection.Counters.BytesReceived = 0L
            && connection.Counters.BytesAcknowledged = 0L
            && connection.Activity.ProgressAt <= since

    let private start (setup: ConnectionSetup) incoming synNr next receiver : Connection =
        let options, now = setup.Options, setup.Now

        { ConnId = setup.ConnId
          Remote = setup.Remote
          Dialect = setup.Dialect
          Options = options
          Incoming = incoming
          Generation = setup.Generation
          Ids = Ids.create setup.Dialect incoming setup.Id synNr
          State = if incoming then StreamState.SynReceived else StreamState.SynSent
          Admission = Admission.Granted
          Receiving = ReceiveState.Open
          Sender = Sender.create options next
          Receiver = receiver
          Rtt = Rtt.none
          Congestion = CongestionSampling.start options 0 0L<us> (options.PacketSize - Packet.HeaderLength)
          Sizes =
            { Mtu = PathMtu.create (Endpoint.isIPv4 setup.Remote) options
              OffersProbes = (setup.Dialect = Dialect.Bep29)
              KnowsProbes = false
              KnowsReach = false
              Reply = 0UL
              LargestWindow = 0u
              LargestPayload = options.PacketSize - Packet.HeaderLength }
          Delays =
            { Unchecked.defaultof<Delays> with
                SampledAt = Time.never
                LeastUnexplained = System.Int32.MaxValue }
          Clocks = TimestampCheck.create setup.Offset setup.HandshakeOffset incoming now
          Linked = LinkedStream.create setup.Meeting
          Timers = { Timers.stopped with Handshake = now; Expiry = Time.after setup.Timeout now }
          Attempts = Unchecked.defaultof<Attempts>
          Activity = { HeardAt = now; SentAt = now; ProgressAt = now }
          Acks =
            { LossyUntil = now
              Pending = 0
              Advertised = options.ReceiveBuffer
              Immediate = false
              IsChallenge = false }
          Sums = Unchecked.defaultof<Sums>
          Closing =
            { ReleaseTimeout = 0L<us>
              ReleaseBy = Time.never
              Parting = Parting.None
              Released = false
              ActiveClose = false
              HasLostBytes = false }
          Counters = Unchecked.defaultof<Counters>
          WakeAt = Time.never
          ReportedRoom = options.SendBuffer
          CountedBytes = 0
          IsCounted = false
          PrimingHops = setup.PrimingHops }

    let dial (setup: ConnectionSetup) (isn: SeqNr) =
        // The receiver's number is not known before the SYN-ACK; until then nothing reaches it.
        let receiver = Receiver.create setup.Options.ReceiveBuffer (SeqNr 0us)
        start setup false isn (isn + 1) receiver

    let admit (setup: ConnectionSetup) (syn: SeqNr) (first: SeqNr) =
        start setup true syn first (Receiver.create setup.Options.ReceiveBuffer syn)

    let store connection = { Connection = connection }

    let own generation (stored: Stored) =
        let connection = stored.Connection

        if connection.Generation = generation then
            connection
        else
            { connection with
                Generation = generation
                Sender = Sender.copy connection.Sender
                Receiver = Receiver.copy connection.Receiver }

    let settle context (connection: Connection) =
        Output.fold context connection

        let needsIds =
            match connection.State with
            | StreamState.SynSent
            | StreamState.SynReceived -> Handshake.settle context connection
            | StreamState.Established ->
                Output.settle context connection
                false
            | StreamState.TimeWait
            | StreamState.Closed -> false

        if connection.State = StreamState.TimeWait then Closing.settleTimeWait context connection

        needsIds

    let deadline (connection: Connection) =
        match connection.State with
        | StreamState.Established when connection.IsSuspended -> Expiry.at connection
        | StreamState.Established ->
            Timers.earliest &connection.Timers
            |> min (Scoreboard.overdueAt connection.Board)
            |> min connection.Board.Rate.PacedUntil
            |> min (PathMtu.dueAt connection.Sizes.Mtu)
            |> min (Expiry.at connection)
            |> min (Output.keepAliveAt connection)
            |> min (if isNull connection.Linked then Time.never else connection.Linked.SilentAt)
        | StreamState.SynSent
        | StreamState.SynReceived -> Timers.earliest &connection.Timers
        | StreamState.TimeWait -> min (Timers.earliest &connection.Timers) (Farewell.quietAt connection)
        | StreamState.Closed -> Time.never

    let statistics (stored: Stored) : StreamStatistics =
        let connection = stored.Connection

        { State = connection.State
          Sending = Sender.state connection.Sender
          Receiving = connection.Receiving
          RoundTrip = connection.Rtt.Smoothed
          RoundTripVariance = connection.Rtt.Variance
          RetransmitTimeout = Rtt.timeout connection.Options connection.Rtt
          CongestionWindow = connection.Congestion.Window
          PacingRate =
            (match connection.Congestion.PacingRate with
             | System.Int64.MaxValue -> 0L
             | rate -> rate)
          DeliveryRate = connection.Board.Rate.Latest
          Phase = connection.Congestion.Phase
          IsAppLimited = connection.Board.Rate.AppLimitedUntil > 0L
          InFlight = Scoreboard.flight connection.Board
          PeerWindow = Sender.peerWindow connection.Sender
          QueueingDelay = Queueing.delay connection |> ValueOption.defaultValue 0L<us>
          TargetDelay = connection.Options.TargetDelay
          MaxPayload = PathMtu.size connection.Sizes.Mtu - Packet.HeaderLength
          BytesAcknowledged = connection.Counters.BytesAcknowledged
          BytesReceived = connection.Counters.BytesReceived
          PacketsSent = connection.Counters.PacketsSent
          PacketsReceived = connection.Counters.PacketsReceived
          Retransmissions = Scoreboard.retransmissions connection.Board
          BytesLost = connection.Board.Rate.Lost
          Timeouts = connection.Counters.Timeouts
          Duplicates = connection.Counters.Duplicates }
