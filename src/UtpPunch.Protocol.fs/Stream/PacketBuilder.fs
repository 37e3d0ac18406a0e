namespace UtpPunch.Protocol

/// What a stream sends: one function for each kind of packet, and the one way to tell that a rule fired.
module internal PacketBuilder =
    /// libutp gives a stream up after four retransmissions that were not acknowledged, each a second or more behind the other: where
    /// a fifth is lost each way, saying an acknowledgement twice makes that six times rarer.
    let private echoAfter = Time.milliseconds 100

    let note context rule connection = context.Effects.Add(Effect.Noted(rule, connection.Remote))

    let private header context packetType id seqNr ackNr connection : Header =
        { Type = packetType
          ConnectionId = id
          Timestamp = Time.stamp context.Now
          TimestampDifference = connection.Difference
          Window = uint32 (Receiver.window connection.Receiver)
          SeqNr = seqNr
          AckNr = ackNr }

    let private send context (train: Train) connection =
        context.Effects.Add(Effect.Send(connection.Remote, train))
        connection.PacketsSent <- connection.PacketsSent + int64 train.Count

    /// A packet that carries nothing.
    let private bare context (header: Header) bits connection =
        send context (Train(header, Bytes.Empty, bits, Bytes.Empty, 0, false)) connection
        connection.LastSentAt <- context.Now

    /// The acknowledgement that is due is what this packet carries: every packet but the SYN acknowledges.
    let private acknowledging context (train: Train) connection =
        send context train connection
        connection.LastSentAt <- context.Now
        connection.Advertised <- Receiver.window connection.Receiver

        connection.EchoAt <-
            if (connection.AckNow || connection.Unacknowledged > 0) && context.Now < connection.LossyUntil then
                context.Now + echoAfter
            else
                Time.never

        connection.Unacknowledged <- 0
        connection.AckAt <- Time.never
        // Only a STATE tells of a gap.
        connection.AckNow <- connection.AckNow && Receiver.hasGap connection.Receiver

    let private ordinary context packetType seqNr connection =
        header context packetType connection.SendId seqNr (Receiver.ackNr connection.Receiver) connection

    let state context connection =
        let header = ordinary context PacketType.State (Sender.next connection.Sender) connection
        let sack = Receiver.sack connection.Receiver
        acknowledging context (Train(header, sack, 0UL, Bytes.Empty, 0, false)) connection
        connection.AckNow <- false

    let syn context connection =
        let id =
            match connection.Dialect with
            | Dialect.Bep29 -> connection.ReceiveId
            | Dialect.UtpPunch -> connection.SendId

        let bits = if connection.SaysHello then ExtensionBits.hello else 0UL
        bare context (header context PacketType.Syn id connection.SynNr (SeqNr 0us) connection) bits connection

    /// The SYN-ACK never changes: its `seq_nr` is that of our first data. It announces probes if the SYN did.
    let synAck context connection =
        let bits = if connection.Sizes.KnowsProbes then ExtensionBits.hello else 0UL
        let next = Sender.next connection.Sender

        bare
            context
            (header context PacketType.State connection.SendId next connection.SynNr connection)
            bits
            connection

    /// `conn` is the peer's receive id and `ack_nr` a number that it sent, so that libutp and libtorrent both take it.
    let resetAs sendId next context connection =
        let ackNr = Receiver.ackNr connection.Receiver
        bare context (header context PacketType.Reset sendId next ackNr connection) 0UL connection

    let reset context connection = resetAs connection.SendId (Sender.next connection.Sender) context connection

    let run context (run: Run) connection =
        let header =
            ordinary context (if run.IsFin then PacketType.Fin else PacketType.Data) run.First connection
        // Numbered when packets were larger, it cannot be cut any more.
        let mayFragment = run.Size + Packet.HeaderLength > PathMtu.size connection.Sizes.Mtu
        acknowledging context (Train(header, Bytes.Empty, 0UL, run.Data, run.Size, mayFragment)) connection

        if run.IsFin && not (Receiver.isComplete connection.Receiver) then
            connection.ClosedFirst <- true

    /// A path probe, or the answer to one, acknowledges as a STATE does, but is not the acknowledgement that is due: it may be lost.
    let private beside context bits (payload: Bytes) connection =
        let header = ordinary context PacketType.State (Sender.next connection.Sender) connection
        let sack = Receiver.sack connection.Receiver
        send context (Train(header, sack, bits, payload, payload.Length, false)) connection

    /// A datagram of exactly `size` bytes.
    let probe context id size connection =
        let bits = ExtensionBits.probe id size
        let sack = Receiver.sack connection.Receiver
        beside context bits (Bytes(Array.zeroCreate (size - Packet.lengthOf sack.Length bits 0))) connection

    let probeAnswer context bits connection = beside context bits Bytes.Empty connection
