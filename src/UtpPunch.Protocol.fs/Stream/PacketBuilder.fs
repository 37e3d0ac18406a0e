namespace UtpPunch.Protocol

/// What a stream sends: one function for each kind of packet, and the one way to tell that a rule fired.
module internal PacketBuilder =
    /// libutp gives a stream up after four retransmissions that were not acknowledged, each a second or more behind the other: where
    /// a fifth is lost each way, saying an acknowledgement twice makes that six times rarer.
    let private echoAfter = Time.milliseconds 100

    let note context rule connection = context.Effects.Add(Effect.Noted(rule, connection.Remote))

    let private send context packetType id seqNr ackNr sack bits payload packetSize mayFragment connection =
        let header =
            { Type = packetType
              ConnectionId = id
              Timestamp = Time.stamp context.Now
              TimestampDifference = connection.Difference
              Window = uint32 (Receiver.window connection.Receiver)
              SeqNr = seqNr
              AckNr = ackNr }

        let train = Train(header, sack, bits, payload, packetSize, mayFragment)
        context.Effects.Add(Effect.Send(connection.Remote, train))
        connection.PacketsSent <- connection.PacketsSent + int64 train.Count

    let private emit context packetType id seqNr ackNr sack bits payload packetSize mayFragment connection =
        send context packetType id seqNr ackNr sack bits payload packetSize mayFragment connection
        connection.LastSentAt <- context.Now

    /// A packet that carries nothing.
    let private bare context packetType id seqNr ackNr bits connection =
        emit context packetType id seqNr ackNr Owned.Empty bits Owned.Empty 0 false connection

    /// Every packet but the SYN acknowledges, so whatever goes out is also the acknowledgement.
    let private acknowledging context packetType seqNr sack payload packetSize mayFragment connection =
        let ackNr = Receiver.ackNr connection.Receiver
        emit context packetType connection.SendId seqNr ackNr sack 0UL payload packetSize mayFragment connection
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

    let state context connection =
        let seqNr = Sender.next connection.Sender
        let sack = Receiver.sack connection.Receiver
        acknowledging context PacketType.State seqNr sack Owned.Empty 0 false connection
        connection.AckNow <- false

    let syn context connection =
        let id =
            match connection.Dialect with
            | Dialect.Bep29 -> connection.ReceiveId
            | Dialect.UtpPunch -> connection.SendId

        let bits = if connection.SaysHello then ExtensionBits.hello else 0UL
        bare context PacketType.Syn id connection.SynNr (SeqNr 0us) bits connection

    /// The SYN-ACK never changes: its `seq_nr` tells where our data begins. It says that we know of probes if the SYN did.
    let synAck context connection =
        let bits = if connection.Sizes.KnowsProbes then ExtensionBits.hello else 0UL
        bare context PacketType.State connection.SendId (Sender.next connection.Sender) connection.SynNr bits connection

    /// `conn` is the peer's receive id and `ack_nr` a number that it sent, so that libutp and libtorrent both take it.
    let resetAs sendId next context connection =
        bare context PacketType.Reset sendId next (Receiver.ackNr connection.Receiver) 0UL connection

    let reset context connection = resetAs connection.SendId (Sender.next connection.Sender) context connection

    let run context (run: Run) connection =
        let packetType = if run.IsFin then PacketType.Fin else PacketType.Data
        // Numbered when packets were larger, it cannot be cut any more.
        let mayFragment = run.Size + Packet.HeaderLength > PathMtu.size connection.Sizes.Mtu
        acknowledging context packetType run.First Owned.Empty run.Data run.Size mayFragment connection

        if run.IsFin && not (Receiver.isComplete connection.Receiver) then
            connection.ClosedFirst <- true

    /// What goes out beside the stream acknowledges as a STATE does, but is not the acknowledgement that is due: it may be lost.
    let private beside context bits payload connection =
        let seqNr = Sender.next connection.Sender
        let ackNr = Receiver.ackNr connection.Receiver
        let sack = Receiver.sack connection.Receiver
        send context PacketType.State connection.SendId seqNr ackNr sack bits payload payload.Length false connection

    /// A datagram of exactly `size` bytes.
    let probe context id size connection =
        let bits = ExtensionBits.probe id size
        let sack = Receiver.sack connection.Receiver
        beside context bits (Owned(Array.zeroCreate (size - Packet.lengthOf sack.Length bits 0))) connection

    let probeAnswer context bits connection = beside context bits Owned.Empty connection
