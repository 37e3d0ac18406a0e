namespace UtpPunch.Protocol

/// How a stream is established: SYN and SYN-ACK, both ways, what repeats them, and what proves that the other side receives.
module internal Handshake =
    /// SYNs with the same ids, before fresh ones are tried.
    let private synsWithOneId = 2

    /// The SYN-ACK and what repeats it, until the SYN's sender has proved that it receives: three packets for one.
    let private synAcks = 3

    /// How often the opener repeats its confirmation: for the last time after 31 s, within the time for which the other side waits.
    let private confirmations = 5

    /// A peer that has nothing to say is heard of by its keep-alive only, 29 s after the SYN-ACK (libutp).
    let private keepAliveAfter = Time.seconds 20

    /// Packets that were to confirm a SYN-ACK and did not: more are not the peer's. Who guesses on needs another SYN, whose SYN-ACK has
    /// other numbers.
    let private mostWrongGuesses = 16

    /// Whether a packet proves that its sender has received the SYN-ACK: by the number that it acknowledges, and by the clock that it
    /// echoes, unless the dialect has none.
    let confirms context at (header: inref<Header>) (connection: Connection) =
        let behind = Scoreboard.next connection.Board - header.AckNr - 1
        let startedAt = connection.Activity.HeardAt

        // libutp's keep-alive acknowledges one packet less.
        let isKeepAlive =
            behind = 1 && header.Type = PacketType.State && context.Now - startedAt >= keepAliveAfter

        (behind = 0 || isKeepAlive)
        && (connection.Dialect = Dialect.UtpPunch
            || TimestampCheck.confirms isKeepAlive startedAt connection.Activity.SentAt at &header &connection.Clocks)

    /// Takes a packet that does not confirm. Whether the stream is to be forgotten.
    let miss context (header: inref<Header>) (connection: Connection) =
        if header.AckNr + 1 <> Scoreboard.next connection.Board then
            connection.Clocks.Strays <- connection.Clocks.Strays + 1
        else
            // Only its clock does not fit: an honest peer echoes that of a fresh SYN-ACK. On a long path that takes a while, and the last
            // SYN-ACK is the one that counts.
            let sinceFirst = context.Now - connection.Activity.HeardAt
            let sinceLast = context.Now - connection.Activity.SentAt

            if sinceLast >= sinceFirst / 2L + Time.milliseconds 200 then
                PacketBuilder.synAck context connection

        connection.Clocks.Strays >= mostWrongGuesses

    let private opened context (connection: Connection) =
        connection.State <- StreamState.Established
        connection.Timers.Handshake <- Time.never
        connection.Timers.Expiry <- Time.never
        connection.Activity.ProgressAt <- context.Now

    let confirm context at isMeeting (header: inref<Header>) (connection: Connection) =
        opened context connection

        // The clock of the SYN-ACK that was answered, not the time of the first, or the last: it may have been repeated.
        let roundTrip = TimestampCheck.handshakeRoundTrip at &header &connection.Clocks
        if roundTrip > 0L<us> then connection.Rtt <- Rtt.observe roundTrip connection.Rtt

        TimestampCheck.establish at &header &connection.Clocks
        context.Effects.Add(Effect.Accepted(connection.ConnId, connection.Remote, connection.Ids.Receive, isMeeting))

    let repeatSynAck context (connection: Connection) =
        PacketBuilder.note context Rule.RepeatedSyn connection

        // Once the stream is established its opener has our SYN-ACK: this SYN is an old copy.
        // The answer that the application will give is for this SYN as well.
        if connection.State = StreamState.SynReceived && not connection.IsUndecided then
            PacketBuilder.synAck context connection

    /// The SYN-ACK waits until the application has decided.
    let ask context admission (connection: Connection) =
        connection.Admission <- admission
        connection.Timers.Handshake <- Time.never
        context.Effects.Add(Effect.Asked(connection.ConnId, connection.Remote))

    /// The application admits the peer: the SYN-ACK is due. One that answered the SYN before, by a cookie, is repeated, which draws another
    /// confirmation.
    let admit context (connection: Connection) =
        connection.Admission <- Admission.Granted
        connection.Timers.Handshake <- context.Now

    let receiveSynAck context arrivedAt (packet: inref<Packet>) (connection: Connection) =
        let header = packet.Header

        if header.Type = PacketType.State && header.AckNr = connection.Ids.Syn then
            // As all implementations of BEP 29 have it: the SYN-ACK's number is that of the first data to come.
            connection.Receiver <- Receiver.create connection.Options.ReceiveBuffer (header.SeqNr + -1)

            if connection.Attempts.Handshake = 1 then
                connection.Rtt <- Rtt.observe (context.Now - connection.Activity.SentAt) connection.Rtt

            opened context connection
            connection.Delays.Difference <- Time.stamp arrivedAt - header.Timestamp
            connection.Delays.IsMeasured <- connection.Dialect = Dialect.Bep29
            TimestampCheck.establish arrivedAt &header &connection.Clocks
            MtuProbing.meet packet.Bits connection
            Sender.advertiseUnstamped (int64 header.Window) connection.Sender
            MtuProbing.hear header.Window 0 connection
            context.Effects.Add(Effect.Opened(connection.ConnId, connection.Ids.Receive))
            // Confirms the SYN-ACK: a server that writes first waits for that.
            connection.Acks.Immediate <- true
            connection.Attempts.Handshake <- 0
            connection.Timers.Handshake <- context.Now + connection.Options.InitialRto
            true
        else
            PacketBuilder.note context Rule.UnexpectedPacket connection
            false

    /// The confirmation may be lost, and a server that writes first waits for it: as long as nothing but its SYN-ACK was received, it is
    /// repeated, less and less often. Data in flight confirms as well.
    let repeatConfirmation context (connection: Connection) =
        if Scoreboard.packets connection.Board = 0 then PacketBuilder.state context connection

        connection.Attempts.Handshake <- connection.Attempts.Handshake + 1

        connection.Timers.Handshake <-
            if connection.Attempts.Handshake < confirmations then
                context.Now + connection.Options.InitialRto * (1L <<< connection.Attempts.Handshake)
            else
                Time.never

    /// Sends another SYN under other ids. The RESET for the old ones follows: where a queue takes one packet and no more, the RESET must be
    /// the one that is lost.
    let redial context id isn (connection: Connection) =
        let oldId = connection.Ids.Send
        let oldNext = Scoreboard.next connection.Board
        // Some receivers may not cope with extension bits.
        connection.Sizes <- { connection.Sizes with OffersProbes = false }
        connection.Ids <- Ids.create connection.Dialect false id isn
        Scoreboard.renumber (isn + 1) connection.Board
        PacketBuilder.syn context connection
        PacketBuilder.resetAs oldId oldNext 0UL context connection

    /// The pauses between the SYNs of a stream that the peer opens at the same time: the two begin within a fraction of a second.
    let private simultaneousWait attempts =
        match attempts with
        | 0 -> Time.milliseconds 100
        | 1 -> Time.milliseconds 250
        | 2 -> Time.milliseconds 500
        | more -> Time.seconds (1 <<< min 4 (more - 3))

    let private repeat context (connection: Connection) =
        let isSyn = connection.State = StreamState.SynSent

        if connection.Attempts.Handshake > 0 then
            PacketBuilder.note context Rule.HandshakeRetransmit connection

        let wait =
            if connection.IsSimultaneous then
                simultaneousWait connection.Attempts.Handshake
            else
                connection.Options.InitialRto * (1L <<< min connection.Attempts.Handshake 6)
                |> min (max connection.Options.MaxRto connection.Options.InitialRto)

        connection.Attempts.Handshake <- connection.Attempts.Handshake + 1

        // Two simultaneous streams are compared by their ids.
        let needsIds = isSyn && not connection.IsSimultaneous && connection.Attempts.Handshake > synsWithOneId

        if not isSyn then
            PacketBuilder.synAck context connection
        elif connection.IsSimultaneous && connection.Attempts.Handshake = 1 then
            PacketBuilder.primingSyn context connection
        elif not needsIds then
            PacketBuilder.syn context connection

        connection.Timers.Handshake <-
            if isSyn || connection.Attempts.Handshake < synAcks then
                context.Now + wait
            else
                Time.never

        needsIds

    /// A closed port has answered a SYN with that id and that number. Reports are easily forged, but not without having seen the SYN; and a
    /// server may be about to start: two SYNs in a row must have been answered so.
    let refuse context id number (connection: Connection) =
        let ids, attempt = connection.Ids, connection.Attempts.Handshake

        if number = ids.Syn && (id = ids.Receive || id = ids.Send) then
            if connection.Attempts.Refused > 0 && connection.Attempts.Refused = attempt - 1 then
                Closing.close context CloseReason.Refused connection
            else
                connection.Attempts.Refused <- attempt

    /// Does what is due before the stream is established. Whether the SYN must be repeated under fresh ids, by `redial`.
    let settle context (connection: Connection) =
        if context.Now >= connection.Timers.Expiry then
            if connection.State = StreamState.SynReceived then
                PacketBuilder.note context Rule.HalfOpenExpired connection

            Closing.close context CloseReason.ConnectTimeout connection
            false
        elif context.Now >= connection.Timers.Handshake then
            repeat context connection
        else
            false
