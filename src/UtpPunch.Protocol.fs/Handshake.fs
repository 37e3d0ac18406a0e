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

    let private opened turn connection =
        connection.Phase <- Phase.Open
        connection.HandshakeAt <- Time.never
        connection.ExpiresAt <- Time.never
        connection.LastProgressAt <- turn.Now

    let confirm turn connection =
        opened turn connection
        turn.Effects.Add(Effect.Accepted(connection.ConnId, connection.Remote, connection.ReceiveId))

    let isOpenedBy (syn: Header) connection = connection.Incoming && connection.SynNr = syn.SeqNr

    let repeatSynAck turn connection =
        Emission.note turn Rule.RepeatedSyn connection

        // Once the stream is open its opener must have our SYN-ACK, so this SYN is an old copy.
        if connection.Phase = Phase.SynReceived then Emission.synAck turn connection

    let receiveSynAck turn (packet: inref<Packet>) connection =
        let header = packet.Header

        if header.Type = PacketType.State && header.AckNr = connection.SynNr then
            // BEP 29 as everybody speaks it: the SYN-ACK's number is that of the first data to come.
            connection.Receiver <- Receiver.create connection.Options.ReceiveBuffer (header.SeqNr + -1)

            if connection.HandshakeTries = 1 then
                connection.Rtt <- Rtt.observe (turn.Now - connection.LastSentAt) connection.Rtt

            opened turn connection
            Probing.meet packet.Bits connection
            Sender.advertise (int64 header.Window) header.Timestamp true connection.Sender
            Probing.hear header.Window 0 connection
            turn.Effects.Add(Effect.Opened(connection.ConnId, connection.ReceiveId))
            // Tell the other side that we are there, or one that writes first waits for ever.
            connection.AckNow <- true
            connection.HandshakeTries <- 0
            connection.HandshakeAt <- turn.Now + connection.Options.InitialRto
            true
        else
            Emission.note turn Rule.UnexpectedPacket connection
            false

    /// What tells the other side that we are there may be lost, and one that writes first waits for it: as long as nothing but its
    /// SYN-ACK was heard, it is told again, less and less often. What we send ourselves tells it as well.
    let confirmAgain turn connection =
        if Sender.packets connection.Sender = 0 then Emission.state turn connection

        connection.HandshakeTries <- connection.HandshakeTries + 1

        connection.HandshakeAt <-
            if connection.HandshakeTries < confirmations then
                turn.Now + connection.Options.InitialRto * (1L <<< connection.HandshakeTries)
            else
                Time.never

    let redial turn id isn connection =
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
        Emission.syn turn connection
        Emission.resetAs old oldNext turn connection

    let settle turn connection =
        let isSyn = connection.Phase = Phase.SynSent

        if turn.Now >= connection.ExpiresAt then
            if not isSyn then Emission.note turn Rule.HalfOpenExpired connection

            Ending.close turn CloseReason.ConnectTimeout connection
        elif turn.Now >= connection.HandshakeAt then
            if connection.HandshakeTries > 0 then
                Emission.note turn Rule.HandshakeRetransmit connection

            let wait =
                connection.Options.InitialRto * (1L <<< min connection.HandshakeTries 6)
                |> min (max connection.Options.MaxRto connection.Options.InitialRto)

            connection.HandshakeTries <- connection.HandshakeTries + 1

            if not isSyn then Emission.synAck turn connection
            elif connection.HandshakeTries <= synsWithOneId then Emission.syn turn connection
            else connection.WantsIds <- true

            connection.HandshakeAt <-
                if isSyn || connection.HandshakeTries < synAcks then turn.Now + wait else Time.never
