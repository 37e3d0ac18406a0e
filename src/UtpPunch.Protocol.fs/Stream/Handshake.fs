namespace UtpPunch.Protocol

/// How a stream opens: SYN and SYN-ACK, both ways, what repeats them, and what proves that the other side receives.
module internal Handshake =
    /// SYNs with the same ids, before fresh ones are tried.
    let private synsWithOneId = 2

    /// The SYN-ACK and what repeats it, until the SYN's sender has proved that it receives: three packets for one.
    let private synAcks = 3

    /// How often the dialler repeats that it is there: for the last time after 31 s, within the time for which the other side waits.
    let private confirmations = 5

    let confirms (header: Header) connection =
        let behind = Sender.next connection.Sender - header.AckNr - 1
        behind >= 0 && behind <= Connection.ackSlack

    let private opened context connection =
        connection.Phase <- Phase.Open
        connection.HandshakeAt <- Time.never
        connection.ExpiresAt <- Time.never
        connection.LastProgressAt <- context.Now

    let confirm context connection =
        opened context connection
        context.Effects.Add(Effect.Accepted(connection.ConnId, connection.Remote, connection.ReceiveId))

    let isOpenedBy (syn: Header) connection = connection.Incoming && connection.SynNr = syn.SeqNr

    let repeatSynAck context connection =
        PacketBuilder.note context Rule.RepeatedSyn connection

        // Once the stream is open its opener must have our SYN-ACK, so this SYN is an old copy.
        if connection.Phase = Phase.SynReceived then PacketBuilder.synAck context connection

    let receiveSynAck context (packet: inref<Packet>) connection =
        let header = packet.Header

        if header.Type = PacketType.State && header.AckNr = connection.SynNr then
            // BEP 29 as everybody speaks it: the SYN-ACK's number is that of the first data to come.
            connection.Receiver <- Receiver.create connection.Options.ReceiveBuffer (header.SeqNr + -1)

            if connection.HandshakeTries = 1 then
                connection.Rtt <- Rtt.observe (context.Now - connection.LastSentAt) connection.Rtt

            opened context connection
            MtuProbing.meet packet.Bits connection
            Sender.advertise (int64 header.Window) header.Timestamp true connection.Sender
            MtuProbing.hear header.Window 0 connection
            context.Effects.Add(Effect.Opened(connection.ConnId, connection.ReceiveId))
            // Tell the other side that we are there, or one that writes first waits for ever.
            connection.AckNow <- true
            connection.HandshakeTries <- 0
            connection.HandshakeAt <- context.Now + connection.Options.InitialRto
            true
        else
            PacketBuilder.note context Rule.UnexpectedPacket connection
            false

    /// What tells the other side that we are there may be lost, and one that writes first waits for it: as long as nothing but its
    /// SYN-ACK was heard, it is told again, less and less often. What we send ourselves tells it as well.
    let repeatConfirmation context connection =
        if Sender.packets connection.Sender = 0 then PacketBuilder.state context connection

        connection.HandshakeTries <- connection.HandshakeTries + 1

        connection.HandshakeAt <-
            if connection.HandshakeTries < confirmations then
                context.Now + connection.Options.InitialRto * (1L <<< connection.HandshakeTries)
            else
                Time.never

    let redial context id isn connection =
        // The SYN first: where a queue takes one packet and no more, the other must be the one that is lost.
        let old = connection.SendId
        connection.WantsIds <- false
        // Perhaps it is the bits that somebody chokes on.
        connection.SaysHello <- false
        connection.ReceiveId <- Connection.receiveIdOf connection.Dialect false id
        connection.SendId <- Connection.sendIdOf connection.Dialect false id
        connection.SynNr <- isn
        let oldNext = Sender.next connection.Sender
        Sender.renumber (isn + 1) connection.Sender
        PacketBuilder.syn context connection
        PacketBuilder.resetAs old oldNext context connection

    let settle context connection =
        let isSyn = connection.Phase = Phase.SynSent

        if context.Now >= connection.ExpiresAt then
            if not isSyn then PacketBuilder.note context Rule.HalfOpenExpired connection

            Closing.close context CloseReason.ConnectTimeout connection
        elif context.Now >= connection.HandshakeAt then
            if connection.HandshakeTries > 0 then
                PacketBuilder.note context Rule.HandshakeRetransmit connection

            let wait =
                connection.Options.InitialRto * (1L <<< min connection.HandshakeTries 6)
                |> min (max connection.Options.MaxRto connection.Options.InitialRto)

            connection.HandshakeTries <- connection.HandshakeTries + 1

            if not isSyn then PacketBuilder.synAck context connection
            elif connection.HandshakeTries <= synsWithOneId then PacketBuilder.syn context connection
            else connection.WantsIds <- true

            connection.HandshakeAt <-
                if isSyn || connection.HandshakeTries < synAcks then context.Now + wait else Time.never
