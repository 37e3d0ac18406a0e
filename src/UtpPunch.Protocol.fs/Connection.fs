namespace UtpPunch.Protocol

[<Struct; RequireQualifiedAccess>]
type Phase =
    | SynSent
    | SynReceived
    | Open
    | Lingering
    | Dead

[<NoComparison; NoEquality>]
type internal Turn =
    { Now: Instant
      Effects: ResizeArray<Effect> }

/// The fields are mutable for the step that made the copy, and for it alone.
[<NoComparison; NoEquality>]
type internal Connection =
    { ConnId: ConnId
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
      /// The delay of our packets, as the peer measures it, and of the peer's, as we do.
      mutable OurDelay: Delay voption
      mutable TheirDelay: Delay voption
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
      mutable LossProbeAt: Instant
      /// How often the oldest packet was sent again to provoke an acknowledgement since the last sign of progress.
      mutable LossProbes: int
      mutable WindowProbeAt: Instant
      mutable AckAt: Instant
      mutable QuietAt: Instant
      mutable HandshakeTries: int
      mutable WindowProbes: int
      // Acknowledging.
      mutable Unacknowledged: int
      mutable AckNow: bool
      mutable Advertised: int
      // What the acknowledgements of this step add up to.
      mutable StepBytes: int
      mutable StepFlight: int
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
      mutable Duplicates: int64 }

module internal Connection =
    /// Acknowledge at least every second packet, and none later than this (RFC 5681, 4.2 allows 500 ms).
    let private delayedAck = Time.milliseconds 25

    /// What is allowed for the peer's own delayed acknowledgement.
    let private peersDelayedAck = Time.milliseconds 25

    /// Probes ahead of the retransmission timer, each after twice the wait of the one before (RFC 9002, 6.2.1).
    let private lossProbes = 3

    /// Retransmission time-outs in a row without which no stream is given up.
    let private triesBeforeGivingUp = 4

    /// SYNs with the same ids, before fresh ones are tried.
    let private synsWithOneId = 2

    /// The SYN-ACK and what repeats it, until the SYN's sender has proved that it receives: three packets for one.
    let private synAcks = 3

    /// How far behind an acknowledgement may lag (libutp allows 3 more than are in flight, for keep-alives).
    let private ackSlack = 3

    /// How long an ended stream answers for a lost acknowledgement: longer than any peer goes on asking.
    let private linger = Time.seconds 60

    /// For how long silence must have lasted until we believe that the peer has our last acknowledgement: the peer repeats its
    /// FIN after one retransmission time-out, and again after two more.
    let private quiet turn connection =
        turn.Now + 3L * Rtt.timeout connection.Options connection.Rtt

    let receiveIdOf dialect incoming (id: uint16) =
        match dialect, incoming with
        | Dialect.Bep29, true -> id + 1us
        | Dialect.Bep29, false -> id
        | Dialect.UtpPunch, true -> id
        | Dialect.UtpPunch, false -> id + 1us

    let private sendIdOf dialect incoming id = receiveIdOf dialect (not incoming) id

    let private start connId remote dialect (options: StreamOptions) incoming id synNr next receiver now expiresAt =
        { ConnId = connId
          Remote = remote
          Dialect = dialect
          Options = options
          Incoming = incoming
          ReceiveId = receiveIdOf dialect incoming id
          SendId = sendIdOf dialect incoming id
          SynNr = synNr
          WantsIds = false
          Generation = 0L
          Sender = Sender.create options next
          Receiver = receiver
          Phase = if incoming then Phase.SynReceived else Phase.SynSent
          Rtt = Rtt.none
          Congestion = Ledbat(options.PacketSize - Wire.HeaderLength, options.TargetDelay)
          OurDelay = ValueNone
          TheirDelay = ValueNone
          Difference = 0u
          IdleTimeout = options.IdleTimeout
          LastHeardAt = now
          LastSentAt = now
          LastProgressAt = now
          HandshakeAt = now
          ExpiresAt = expiresAt
          RetransmitAt = Time.never
          LossProbeAt = Time.never
          LossProbes = 0
          WindowProbeAt = Time.never
          AckAt = Time.never
          QuietAt = now
          HandshakeTries = 0
          WindowProbes = 0
          Unacknowledged = 0
          AckNow = false
          Advertised = options.ReceiveBuffer
          StepBytes = 0
          StepFlight = 0
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

    let dial connId remote dialect options patience id (isn: SeqNr) now =
        // The receiver's number is not known before the SYN-ACK; until then nothing reaches it.
        let receiver = Receiver.create options.ReceiveBuffer (SeqNr 0us)
        start connId remote dialect options false id isn (isn + 1) receiver now (Time.after patience now)

    let admit connId remote dialect options patience (syn: Header) first now =
        let receiver = Receiver.create options.ReceiveBuffer syn.SeqNr
        start connId remote dialect options true syn.ConnectionId syn.SeqNr first receiver now (Time.after patience now)

    let copy generation connection =
        { connection with
            Generation = generation
            Sender = Sender.copy connection.Sender
            Receiver = Receiver.copy connection.Receiver }

    let generation connection = connection.Generation
    let connId connection = connection.ConnId
    let remote connection = connection.Remote
    let dialect connection = connection.Dialect
    let receiveId connection = connection.ReceiveId
    let sendId connection = connection.SendId
    let isIncoming connection = connection.Incoming
    let phase connection = connection.Phase
    let quietAt connection = connection.QuietAt

    let private queueing connection =
        match connection.OurDelay with
        | ValueSome delay ->
            // What waits in a queue shows in the round trip too; a larger figure is a clock that jumped.
            let queueing = Delay.queueing delay

            ValueSome(
                if Rtt.isKnown connection.Rtt then
                    min queueing connection.Rtt.Smoothed
                else
                    queueing
            )
        | ValueNone -> ValueNone

    let statistics connection : StreamStatistics =
        { RoundTrip = connection.Rtt.Smoothed
          RoundTripVariance = connection.Rtt.Variance
          RetransmitTimeout = Rtt.timeout connection.Options connection.Rtt
          CongestionWindow = connection.Congestion.Window
          InFlight = Sender.flight connection.Sender
          PeerWindow = Sender.peerWindow connection.Sender
          QueueingDelay = queueing connection |> ValueOption.defaultValue 0L<us>
          TargetDelay = connection.Options.TargetDelay
          MaxPayload = connection.Options.PacketSize - Wire.HeaderLength
          BytesAcknowledged = connection.BytesAcknowledged
          BytesReceived = connection.BytesReceived
          PacketsSent = connection.PacketsSent
          PacketsReceived = connection.PacketsReceived
          Retransmissions = Sender.retransmissions connection.Sender
          Timeouts = connection.Timeouts
          Duplicates = connection.Duplicates }

    let private note turn rule connection =
        turn.Effects.Add(Effect.Noted(rule, connection.Remote))

    // ---- Packets out ----

    let private emit turn packetType id seqNr ackNr sack payload packetSize connection =
        let header =
            { Type = packetType
              ConnectionId = id
              Timestamp = Time.stamp turn.Now
              TimestampDifference = connection.Difference
              Window = uint32 (Receiver.window connection.Receiver)
              SeqNr = seqNr
              AckNr = ackNr }

        let train = Train(header, sack, payload, packetSize)
        turn.Effects.Add(Effect.Send(connection.Remote, train))
        connection.PacketsSent <- connection.PacketsSent + int64 train.Count
        connection.LastSentAt <- turn.Now

    /// Every packet but the SYN acknowledges, so whatever goes out is also the acknowledgement.
    let private emitAcknowledging turn packetType seqNr sack payload packetSize connection =
        let ackNr = Receiver.ackNr connection.Receiver
        emit turn packetType connection.SendId seqNr ackNr sack payload packetSize connection
        connection.Advertised <- Receiver.window connection.Receiver
        connection.Unacknowledged <- 0
        connection.AckAt <- Time.never
        // Only a STATE tells of a gap.
        connection.AckNow <- connection.AckNow && Receiver.hasGap connection.Receiver

    let private emitState turn connection =
        let seqNr = Sender.next connection.Sender
        let sack = Receiver.sack connection.Receiver
        emitAcknowledging turn PacketType.State seqNr sack Bytes.Empty 0 connection
        connection.AckNow <- false

    let private emitSyn turn connection =
        let id =
            match connection.Dialect with
            | Dialect.Bep29 -> connection.ReceiveId
            | Dialect.UtpPunch -> connection.SendId

        emit turn PacketType.Syn id connection.SynNr (SeqNr 0us) Bytes.Empty Bytes.Empty 0 connection

    /// The SYN-ACK never changes: its `seq_nr` tells where our data begins.
    let private emitSynAck turn connection =
        emit
            turn
            PacketType.State
            connection.SendId
            (Sender.next connection.Sender)
            connection.SynNr
            Bytes.Empty
            Bytes.Empty
            0
            connection

    /// `conn` is the peer's receive id and `ack_nr` a number that it sent, so that libutp and libtorrent both take it.
    let private emitReset turn connection =
        emit
            turn
            PacketType.Reset
            connection.SendId
            (Sender.next connection.Sender)
            (Receiver.ackNr connection.Receiver)
            Bytes.Empty
            Bytes.Empty
            0
            connection

    let private emitRun turn (run: Run) connection =
        let packetType = if run.IsFin then PacketType.Fin else PacketType.Data
        emitAcknowledging turn packetType run.First Bytes.Empty run.Data run.Size connection

        if run.IsFin && not (Receiver.isComplete connection.Receiver) then
            connection.ClosedFirst <- true

    // ---- What the application is told ----

    let private deliver turn connection =
        Receiver.drain
            (fun payload ->
                connection.BytesReceived <- connection.BytesReceived + int64 payload.Length

                if connection.Released.IsSome then
                    Receiver.consume payload.Length connection.Receiver
                else
                    turn.Effects.Add(Effect.Deliver(connection.ConnId, payload)))
            connection.Receiver

        if Receiver.isComplete connection.Receiver && not connection.ToldEnded then
            connection.ToldEnded <- true
            turn.Effects.Add(Effect.Ended connection.ConnId)

    let private report turn connection =
        if Sender.isFinished connection.Sender && not connection.ToldFinished then
            connection.ToldFinished <- true
            turn.Effects.Add(Effect.Finished connection.ConnId)

        let room = Sender.room connection.Sender

        if room > connection.ToldRoom then
            turn.Effects.Add(Effect.Writable(connection.ConnId, room))

        connection.ToldRoom <- room

    /// Both sides have ended, and the application knows of both.
    let private conclude turn connection =
        if connection.ToldEnded && connection.ToldFinished then
            turn.Effects.Add(Effect.Closed(connection.ConnId, CloseReason.Finished))
            connection.Phase <- Phase.Lingering
            connection.ExpiresAt <- turn.Now + linger

            if connection.ClosedFirst then
                connection.QuietAt <- quiet turn connection

    // ---- The end ----

    /// Whether the stream is still open once the application has been told of all that came in this step: what arrived ahead of
    /// the end counts, also when both came in one receive call.
    let private isStillOpen turn connection =
        if connection.Phase = Phase.Open then
            deliver turn connection
            report turn connection
            conclude turn connection

        connection.Phase = Phase.Open

    let private die turn reason connection =
        connection.Phase <- Phase.Dead
        turn.Effects.Add(Effect.Closed(connection.ConnId, reason))

    let close turn reason connection =
        match connection.Phase with
        | Phase.Lingering
        | Phase.Dead -> ()
        | Phase.SynReceived -> connection.Phase <- Phase.Dead
        | Phase.SynSent -> die turn reason connection
        | Phase.Open ->
            if isStillOpen turn connection then
                die turn reason connection

    let private closeWithReset turn reason connection =
        if connection.Phase <> Phase.Open then
            close turn reason connection
        elif isStillOpen turn connection then
            emitReset turn connection
            die turn reason connection

    let forget connection = connection.Phase <- Phase.Dead

    let abort turn connection = closeWithReset turn CloseReason.Aborted connection

    let finish connection =
        if connection.Phase <> Phase.Lingering then
            Sender.finish connection.Sender

    let release turn patience connection =
        match connection.Phase with
        | Phase.SynSent
        | Phase.SynReceived -> abort turn connection
        | Phase.Open ->
            deliver turn connection
            Sender.finish connection.Sender
            connection.Released <- ValueSome patience
            connection.LastProgressAt <- turn.Now
            // What was delivered and not taken will not be taken any more.
            let unread = connection.Options.ReceiveBuffer - Receiver.window connection.Receiver
            Receiver.consume unread connection.Receiver
        | Phase.Lingering
        | Phase.Dead -> ()

    // ---- What the application says ----

    let write bytes connection =
        if connection.Phase <> Phase.Lingering then
            Sender.write bytes connection.Sender

    let consume count connection =
        if connection.Phase <> Phase.Lingering && connection.Released.IsNone then
            Receiver.consume count connection.Receiver

    let setIdleTimeout duration connection = connection.IdleTimeout <- duration

    // ---- The handshake ----

    let confirms (header: Header) connection =
        let behind = Sender.next connection.Sender - header.AckNr - 1
        behind >= 0 && behind <= ackSlack

    let private opened turn connection =
        connection.Phase <- Phase.Open
        connection.HandshakeAt <- Time.never
        connection.ExpiresAt <- Time.never
        connection.LastProgressAt <- turn.Now

    let confirm turn connection =
        opened turn connection
        turn.Effects.Add(Effect.Accepted(connection.ConnId, connection.Remote, connection.ReceiveId))

    let isOpenedBy (syn: Header) connection =
        connection.Incoming && connection.SynNr = syn.SeqNr

    let repeatSynAck turn connection =
        note turn Rule.RepeatedSyn connection

        // Once the stream is open its opener must have our SYN-ACK, so this SYN is an old copy.
        if connection.Phase = Phase.SynReceived then
            emitSynAck turn connection

    let private receiveSynAck turn (header: Header) connection =
        if header.Type = PacketType.State && header.AckNr = connection.SynNr then
            // BEP 29 as everybody speaks it: the SYN-ACK's number is that of the first data to come.
            connection.Receiver <- Receiver.create connection.Options.ReceiveBuffer (header.SeqNr + -1)

            if connection.HandshakeTries = 1 then
                connection.Rtt <- Rtt.observe (turn.Now - connection.LastSentAt) connection.Rtt

            opened turn connection
            Sender.advertise (int64 header.Window) header.Timestamp true connection.Sender
            turn.Effects.Add(Effect.Opened(connection.ConnId, connection.ReceiveId))
            // Tell the other side that we are there, or one that writes first waits for ever.
            connection.AckNow <- true
            true
        else
            note turn Rule.UnexpectedPacket connection
            false

    // ---- Packets in ----

    /// The lesser of two samples that may wrap.
    let private least (known: uint32 voption) (sample: uint32) =
        match known with
        | ValueSome known when int32 (sample - known) >= 0 -> ValueSome known
        | _ -> ValueSome sample

    let private measure (header: Header) (arrivedAt: Instant) connection =
        connection.Difference <- Time.stamp arrivedAt - header.Timestamp
        connection.StepTheirDifference <- least connection.StepTheirDifference connection.Difference

        // 0 is no sample, and so is the largest number from old clients.
        if header.TimestampDifference <> 0u && header.TimestampDifference <> 0x7FFFFFFFu then
            connection.StepDifference <- least connection.StepDifference header.TimestampDifference

    let private acknowledge turn (packet: inref<Packet>) connection =
        let header = packet.Header
        let freed = header.AckNr - Sender.oldest connection.Sender + 1

        if freed = 0 && header.Type <> PacketType.State && packet.Sack.IsEmpty then
            // Data that acknowledges nothing new: the common case of a stream that flows one way.
            Sender.advertise (int64 header.Window) header.Timestamp false connection.Sender
        elif freed >= 0 then
            let flight = Sender.flight connection.Sender
            let isBare = header.Type = PacketType.State

            let acknowledged =
                Sender.acknowledge turn.Now connection.Rtt header.AckNr packet.Sack isBare connection.Sender

            Sender.advertise (int64 header.Window) header.Timestamp (freed > 0) connection.Sender

            if acknowledged.Bytes > 0 then
                if connection.StepBytes = 0 then
                    connection.StepFlight <- flight

                connection.StepBytes <- connection.StepBytes + acknowledged.Bytes

            match acknowledged.RoundTrip with
            | ValueSome sample -> connection.Rtt <- Rtt.observe sample connection.Rtt
            | ValueNone -> ()

            if acknowledged.Freed > 0 then
                connection.LastProgressAt <- turn.Now
                connection.Rtt <- { connection.Rtt with Backoff = 0 }
                connection.RetransmitAt <- Time.never
                connection.LossProbeAt <- Time.never
                connection.LossProbes <- 0

            if acknowledged.Congested then
                connection.StepCongested <- true
                note turn Rule.FastRetransmit connection

    let private arrive turn (packet: inref<Packet>) connection =
        let isFin = packet.Header.Type = PacketType.Fin
        let hadGap = Receiver.hasGap connection.Receiver

        match Receiver.accept packet.Header.SeqNr packet.Payload isFin connection.Receiver with
        | Arrival.InOrder ->
            connection.Unacknowledged <- connection.Unacknowledged + 1

            // Two packets, the end, or a gap that has just become smaller: at once.
            if connection.Unacknowledged >= 2 || isFin || hadGap then
                connection.AckNow <- true
        | Arrival.OutOfOrder ->
            connection.AckNow <- true
            note turn Rule.OutOfOrder connection
        | Arrival.Duplicate ->
            connection.AckNow <- true
            connection.Duplicates <- connection.Duplicates + 1L
            note turn Rule.Duplicate connection
        | Arrival.Overrun ->
            connection.AckNow <- true
            note turn Rule.WindowOverrun connection
        | Arrival.BeyondFin -> note turn Rule.BeyondFin connection
        | Arrival.OutOfRange -> note turn Rule.SeqOutOfRange connection

    let receive turn arrivedAt (packet: inref<Packet>) connection =
        let header = packet.Header
        let carries = header.Type <> PacketType.State

        match connection.Phase with
        | Phase.Dead
        | Phase.SynReceived -> ()
        | Phase.SynSent ->
            if receiveSynAck turn header connection then
                connection.LastHeardAt <- turn.Now
                connection.PacketsReceived <- connection.PacketsReceived + 1L
        | Phase.Open
        | Phase.Lingering ->
            // Neither an acknowledgement of what was never sent, nor one older than could still be under way.
            let ahead = header.AckNr - Sender.oldest connection.Sender + 1
            let lag = ackSlack + Sender.peakPackets connection.Sender

            if ahead > Sender.packets connection.Sender || ahead < -lag then
                note turn Rule.AckOutOfRange connection
            elif carries && not (Receiver.isInRange header.SeqNr connection.Receiver) then
                note turn Rule.SeqOutOfRange connection
            else
                connection.LastHeardAt <- turn.Now
                connection.PacketsReceived <- connection.PacketsReceived + 1L
                measure header arrivedAt connection
                acknowledge turn &packet connection

                // Its SYN-ACK again: it has not heard from us yet.
                if
                    not carries
                    && not connection.Incoming
                    && header.AckNr = connection.SynNr
                    && header.SeqNr = Receiver.ackNr connection.Receiver + 1
                then
                    connection.AckNow <- true

                if carries then
                    arrive turn &packet connection

                    if connection.Phase = Phase.Lingering then
                        connection.QuietAt <- quiet turn connection

    let wantsIds connection = connection.WantsIds

    let redial turn id isn connection =
        emitReset turn connection
        connection.WantsIds <- false
        connection.ReceiveId <- receiveIdOf connection.Dialect false id
        connection.SendId <- sendIdOf connection.Dialect false id
        connection.SynNr <- isn
        Sender.renumber (isn + 1) connection.Sender
        emitSyn turn connection

    let receiveReset turn (header: Header) connection =
        let fits =
            match connection.Phase, connection.Dialect with
            | Phase.SynSent, Dialect.Bep29 -> header.AckNr = connection.SynNr
            // The npm package's RESETs carry zeros: the id has to do.
            | (Phase.SynSent | Phase.Open), Dialect.UtpPunch -> true
            | _ ->
                // libutp puts the number of the packet that it answers into ack_nr, which for our STATE is the next one.
                let ahead = header.AckNr - Sender.oldest connection.Sender + 1
                ahead >= -ackSlack && ahead <= Sender.packets connection.Sender + 1

        if not fits then
            note turn Rule.ResetOutOfRange connection
        else
            note turn Rule.ResetAccepted connection

            match connection.Phase with
            | Phase.SynSent -> close turn CloseReason.Refused connection
            | Phase.Open ->
                if isStillOpen turn connection then
                    // The peer has sent all, has acknowledged every byte, and has forgotten the stream before our FIN came: the
                    // npm package and libutp answer it so.
                    if connection.ToldEnded && Sender.isFinishing connection.Sender then
                        connection.ToldFinished <- true
                        turn.Effects.Add(Effect.Finished connection.ConnId)
                        die turn CloseReason.Finished connection
                    else
                        die turn CloseReason.Reset connection
            | Phase.SynReceived
            | Phase.Lingering
            | Phase.Dead -> connection.Phase <- Phase.Dead

    // ---- What is due ----

    let private handshake turn connection =
        let isSyn = connection.Phase = Phase.SynSent

        if turn.Now >= connection.ExpiresAt then
            if not isSyn then
                note turn Rule.HalfOpenExpired connection

            close turn CloseReason.ConnectTimeout connection
        elif turn.Now >= connection.HandshakeAt then
            if connection.HandshakeTries > 0 then
                note turn Rule.HandshakeRetransmit connection

            let wait = connection.Options.InitialRto * (1L <<< min connection.HandshakeTries 6)
            connection.HandshakeTries <- connection.HandshakeTries + 1

            if not isSyn then emitSynAck turn connection
            elif connection.HandshakeTries <= synsWithOneId then emitSyn turn connection
            else connection.WantsIds <- true

            connection.HandshakeAt <-
                if isSyn || connection.HandshakeTries < synAcks then
                    turn.Now + wait
                else
                    Time.never

    let private foldDelays turn connection =
        match connection.StepDifference with
        | ValueSome sample ->
            connection.OurDelay <- ValueSome(Delay.observe turn.Now sample connection.OurDelay)
            connection.StepDifference <- ValueNone
        | ValueNone -> ()

        match connection.StepTheirDifference, connection.TheirDelay with
        | ValueSome sample, ValueSome before ->
            let theirs = Delay.observe turn.Now sample connection.TheirDelay
            let fall = Delay.least before - Delay.least theirs

            // As in libutp: when the other direction's base falls, the clocks drift apart, and ours must rise by as much.
            if fall > 0 && fall <= 10_000 && connection.OurDelay.IsSome then
                connection.OurDelay <- ValueSome(Delay.shift fall connection.OurDelay.Value)

            connection.TheirDelay <- ValueSome theirs
            connection.StepTheirDifference <- ValueNone
        | ValueSome sample, ValueNone ->
            connection.TheirDelay <- ValueSome(Delay.observe turn.Now sample ValueNone)
            connection.StepTheirDifference <- ValueNone
        | ValueNone, _ -> ()

    /// Delay and congestion, once for all packets of the step.
    let private fold turn connection =
        foldDelays turn connection

        if connection.StepBytes > 0 then
            connection.Congestion <-
                connection.Congestion.Acknowledged
                    { Bytes = connection.StepBytes
                      Flight = connection.StepFlight
                      Queueing = queueing connection }

            connection.BytesAcknowledged <- connection.BytesAcknowledged + int64 connection.StepBytes
            connection.StepBytes <- 0

        if connection.StepCongested then
            connection.Congestion <- connection.Congestion.Lost()
            connection.StepCongested <- false

    /// When to give up. A peer that says that its window is closed is alive; only its silence counts against it. Time alone is not
    /// enough: a machine that slept has not asked.
    let private giveUpAt connection =
        if Sender.packets connection.Sender = 0 || connection.Rtt.Backoff < triesBeforeGivingUp then
            Time.never
        else
            let since =
                if Sender.peerWindow connection.Sender = 0L then
                    connection.LastHeardAt
                else
                    connection.LastProgressAt

            Time.after connection.Options.GiveUpAfter since

    let private idleAt connection = Time.after connection.IdleTimeout connection.LastHeardAt

    let private releaseAt connection =
        match connection.Released with
        | ValueSome patience -> Time.after patience connection.LastProgressAt
        | ValueNone -> Time.never

    let private keepAliveAt connection = Time.after connection.Options.KeepAlive connection.LastSentAt

    let private expire turn connection =
        if turn.Now >= giveUpAt connection then
            closeWithReset turn CloseReason.TimedOut connection
        elif turn.Now >= idleAt connection then
            closeWithReset turn CloseReason.IdleTimeout connection
        elif turn.Now >= releaseAt connection then
            closeWithReset turn CloseReason.Aborted connection

    let private retransmissionTimers turn connection =
        if turn.Now >= connection.RetransmitAt then
            let flight = Sender.timeOut connection.Sender
            connection.RetransmitAt <- Time.never

            if Sender.peerWindow connection.Sender = 0L then
                // The peer drops what we send because its reader stands still: no congestion, and no longer waits.
                note turn Rule.WindowProbe connection
                connection.Rtt <- { connection.Rtt with Backoff = min triesBeforeGivingUp (connection.Rtt.Backoff + 1) }
            else
                note turn Rule.RetransmitTimeout connection
                connection.Timeouts <- connection.Timeouts + 1L
                connection.Rtt <- { connection.Rtt with Backoff = connection.Rtt.Backoff + 1 }
                connection.Congestion <- connection.Congestion.TimedOut flight

            connection.LossProbeAt <- Time.never
        elif turn.Now >= connection.LossProbeAt then
            connection.LossProbeAt <- Time.never
            connection.LossProbes <- connection.LossProbes + 1

            match Sender.probeLoss turn.Now connection.Sender with
            | null -> ()
            | run ->
                note turn Rule.LossProbe connection
                emitRun turn run connection
        elif turn.Now >= Sender.overdueAt connection.Sender then
            if Sender.findOverdue turn.Now connection.Rtt connection.Sender then
                note turn Rule.FastRetransmit connection
                connection.Congestion <- connection.Congestion.Lost()

    let private transmit turn connection =
        let wasIdle = Sender.packets connection.Sender = 0
        let window = connection.Congestion.Window
        let mutable sent = false
        let mutable run = Sender.sendAgain turn.Now window connection.Sender

        while not (isNull run) do
            emitRun turn run connection
            sent <- true
            run <- Sender.sendAgain turn.Now window connection.Sender

        if not (Sender.hasLost connection.Sender) then
            run <- Sender.sendNew turn.Now window connection.Sender

            while not (isNull run) do
                emitRun turn run connection
                sent <- true
                run <- Sender.sendNew turn.Now window connection.Sender

        // RFC 9293, 3.8.6.1: ask now and then whether a closed window is still closed.
        if not (Sender.isBlocked connection.Sender) then
            if Sender.packets connection.Sender = 0 || Sender.peerWindow connection.Sender > 0L then
                connection.WindowProbeAt <- Time.never
                connection.WindowProbes <- 0
        elif connection.WindowProbeAt = Time.never then
            let wait = Rtt.timeout connection.Options connection.Rtt * (1L <<< min connection.WindowProbes 4)
            connection.WindowProbeAt <- turn.Now + min (Time.seconds 15) wait
        elif turn.Now >= connection.WindowProbeAt then
            note turn Rule.WindowProbe connection
            connection.WindowProbeAt <- Time.never
            connection.WindowProbes <- connection.WindowProbes + 1
            emitRun turn (Sender.probeWindow turn.Now connection.Sender) connection
            sent <- true

        if Sender.packets connection.Sender = 0 then
            connection.RetransmitAt <- Time.never
            connection.LossProbeAt <- Time.never
        else
            if wasIdle then
                connection.LastProgressAt <- turn.Now

            if connection.RetransmitAt = Time.never then
                connection.RetransmitAt <- turn.Now + Rtt.timeout connection.Options connection.Rtt

            if
                (sent || connection.LossProbeAt = Time.never)
                && connection.LossProbes < lossProbes
                && Rtt.isKnown connection.Rtt
                && connection.Rtt.Backoff = 0
            then
                let wait = Rtt.probeAfter peersDelayedAck connection.Rtt
                connection.LossProbeAt <- turn.Now + wait * (1L <<< connection.LossProbes)

    let private acknowledgeReceived turn connection =
        // RFC 9293, 3.8.6.2.2: tell of a window that opens, but not of every byte.
        let window = Receiver.window connection.Receiver
        let opened = window - connection.Advertised
        let least = min connection.Options.ReceiveBuffer (2 * connection.Options.PacketSize)

        if
            opened >= connection.Options.ReceiveBuffer / 2
            || (connection.Advertised < least && window >= least)
        then
            connection.AckNow <- true

        if connection.AckNow then
            emitState turn connection
        elif connection.Unacknowledged > 0 then
            if connection.AckAt = Time.never then
                connection.AckAt <- turn.Now + delayedAck
            elif turn.Now >= connection.AckAt then
                emitState turn connection

        if turn.Now >= keepAliveAt connection then
            note turn Rule.KeepAlive connection
            emitState turn connection

    let private settleOpen turn connection =
        expire turn connection

        if connection.Phase = Phase.Open then
            retransmissionTimers turn connection
            deliver turn connection
            transmit turn connection
            report turn connection
            acknowledgeReceived turn connection

            conclude turn connection

    let settle turn connection =
        fold turn connection

        match connection.Phase with
        | Phase.SynSent
        | Phase.SynReceived -> handshake turn connection
        | Phase.Open -> settleOpen turn connection
        | Phase.Lingering ->
            if turn.Now >= connection.ExpiresAt then
                connection.Phase <- Phase.Dead
            elif connection.AckNow then
                emitState turn connection
        | Phase.Dead -> ()

    let deadline connection =
        match connection.Phase with
        | Phase.SynSent
        | Phase.SynReceived -> min connection.HandshakeAt connection.ExpiresAt
        | Phase.Open ->
            min connection.RetransmitAt connection.LossProbeAt
            |> min (Sender.overdueAt connection.Sender)
            |> min connection.WindowProbeAt
            |> min connection.AckAt
            |> min (giveUpAt connection)
            |> min (idleAt connection)
            |> min (releaseAt connection)
            |> min (keepAliveAt connection)
        | Phase.Lingering -> connection.ExpiresAt
        | Phase.Dead -> Time.never
