namespace UtpPunch.Protocol

/// What a stream sends: one function for each kind of packet, and the one way to tell that a rule fired.
module internal Emission =
    /// libutp gives a stream up after four retransmissions that were not acknowledged, each a second or more behind the other: where
    /// a fifth is lost each way, saying an acknowledgement twice makes that six times rarer.
    let private echoAfter = Time.milliseconds 100

    let note turn rule connection = turn.Effects.Add(Effect.Noted(rule, connection.Remote))

    let private send turn packetType id seqNr ackNr sack bits payload packetSize mayFragment connection =
        let header =
            { Type = packetType
              ConnectionId = id
              Timestamp = Time.stamp turn.Now
              TimestampDifference = connection.Difference
              Window = uint32 (Receiver.window connection.Receiver)
              SeqNr = seqNr
              AckNr = ackNr }

        let train = Train(header, sack, bits, payload, packetSize, mayFragment)
        turn.Effects.Add(Effect.Send(connection.Remote, train))
        connection.PacketsSent <- connection.PacketsSent + int64 train.Count

    let private emit turn packetType id seqNr ackNr sack bits payload packetSize mayFragment connection =
        send turn packetType id seqNr ackNr sack bits payload packetSize mayFragment connection
        connection.LastSentAt <- turn.Now

    /// A packet that carries nothing.
    let private bare turn packetType id seqNr ackNr bits connection =
        emit turn packetType id seqNr ackNr Bytes.Empty bits Bytes.Empty 0 false connection

    /// Every packet but the SYN acknowledges, so whatever goes out is also the acknowledgement.
    let private acknowledging turn packetType seqNr sack payload packetSize mayFragment connection =
        let ackNr = Receiver.ackNr connection.Receiver
        emit turn packetType connection.SendId seqNr ackNr sack 0UL payload packetSize mayFragment connection
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
        acknowledging turn PacketType.State seqNr sack Bytes.Empty 0 false connection
        connection.AckNow <- false

    let syn turn connection =
        let id =
            match connection.Dialect with
            | Dialect.Bep29 -> connection.ReceiveId
            | Dialect.UtpPunch -> connection.SendId

        let bits = if connection.SaysHello then MtuBits.hello else 0UL
        bare turn PacketType.Syn id connection.SynNr (SeqNr 0us) bits connection

    /// The SYN-ACK never changes: its `seq_nr` tells where our data begins. It says that we know of probes if the SYN did.
    let synAck turn connection =
        let bits = if connection.Sizes.KnowsProbes then MtuBits.hello else 0UL
        bare turn PacketType.State connection.SendId (Sender.next connection.Sender) connection.SynNr bits connection

    /// `conn` is the peer's receive id and `ack_nr` a number that it sent, so that libutp and libtorrent both take it.
    let resetAs sendId next turn connection =
        bare turn PacketType.Reset sendId next (Receiver.ackNr connection.Receiver) 0UL connection

    let reset turn connection = resetAs connection.SendId (Sender.next connection.Sender) turn connection

    let run turn (run: Run) connection =
        let packetType = if run.IsFin then PacketType.Fin else PacketType.Data
        // Numbered when packets were larger, it cannot be cut any more.
        let mayFragment = run.Size + Wire.HeaderLength > PathMtu.size connection.Sizes.Mtu
        acknowledging turn packetType run.First Bytes.Empty run.Data run.Size mayFragment connection

        if run.IsFin && not (Receiver.isComplete connection.Receiver) then
            connection.ClosedFirst <- true

    /// What goes out beside the stream acknowledges as a STATE does, but is not the acknowledgement that is due: it may be lost.
    let private beside turn bits payload connection =
        let seqNr = Sender.next connection.Sender
        let ackNr = Receiver.ackNr connection.Receiver
        let sack = Receiver.sack connection.Receiver
        send turn PacketType.State connection.SendId seqNr ackNr sack bits payload payload.Length false connection

    /// A datagram of exactly `size` bytes.
    let probe turn id size connection =
        let bits = MtuBits.probe id size
        let sack = Receiver.sack connection.Receiver
        beside turn bits (Bytes(Array.zeroCreate (size - Wire.lengthOf sack.Length bits 0))) connection

    let probeAnswer turn bits connection = beside turn bits Bytes.Empty connection
