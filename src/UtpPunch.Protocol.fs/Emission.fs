namespace UtpPunch.Protocol

/// What a stream sends: one function for each kind of packet, and the one way to tell that a rule fired.
module internal Emission =
    /// libutp gives a stream up after four retransmissions that were not acknowledged, each a second or more behind the other: where
    /// a fifth is lost each way, saying an acknowledgement twice makes that six times rarer.
    let private echoAfter = Time.milliseconds 100

    let note turn rule connection = turn.Effects.Add(Effect.Noted(rule, connection.Remote))

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
    let private acknowledging turn packetType seqNr sack payload packetSize connection =
        let ackNr = Receiver.ackNr connection.Receiver
        emit turn packetType connection.SendId seqNr ackNr sack payload packetSize connection
        connection.Advertised <- Receiver.window connection.Receiver

        connection.EchoAt <-
            if (connection.AckNow || connection.Unacknowledged > 0) && turn.Now < connection.LossyUntil then
                turn.Now + echoAfter
            else
                Time.never

        connection.Unacknowledged <- 0
        connection.AckAt <- Time.never
        // Only a STATE tells of a gap.
        connection.AckNow <- connection.AckNow && Receiver.hasGap connection.Receiver

    let state turn connection =
        let seqNr = Sender.next connection.Sender
        let sack = Receiver.sack connection.Receiver
        acknowledging turn PacketType.State seqNr sack Bytes.Empty 0 connection
        connection.AckNow <- false

    let syn turn connection =
        let id =
            match connection.Dialect with
            | Dialect.Bep29 -> connection.ReceiveId
            | Dialect.UtpPunch -> connection.SendId

        emit turn PacketType.Syn id connection.SynNr (SeqNr 0us) Bytes.Empty Bytes.Empty 0 connection

    /// The SYN-ACK never changes: its `seq_nr` tells where our data begins.
    let synAck turn connection =
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
    let resetAs sendId next turn connection =
        emit turn PacketType.Reset sendId next (Receiver.ackNr connection.Receiver) Bytes.Empty Bytes.Empty 0 connection

    let reset turn connection = resetAs connection.SendId (Sender.next connection.Sender) turn connection

    let run turn (run: Run) connection =
        let packetType = if run.IsFin then PacketType.Fin else PacketType.Data
        acknowledging turn packetType run.First Bytes.Empty run.Data run.Size connection

        if run.IsFin && not (Receiver.isComplete connection.Receiver) then
            connection.ClosedFirst <- true
