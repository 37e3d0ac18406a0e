namespace UtpPunch.Protocol

/// What a stream sends: one function for each kind of packet.
module internal PacketBuilder =
    /// libutp gives a stream up after four retransmissions that were not acknowledged, each a second or more after the other: where a fifth
    /// of all packets is lost each way, repeating an acknowledgement makes that six times rarer.
    let private echoAfter = Time.milliseconds 100

    let note context rule (connection: Connection) = context.Effects.Add(Effect.Noted(rule, connection.Remote))

    let private header context packetType id seqNr ackNr (connection: Connection) : Header =
        { Type = packetType
          ConnectionId = id
          Timestamp = Time.stamp context.Now + connection.Clocks.Offset
          TimestampDifference =
            if connection.Delays.IsMeasured then
                connection.Delays.Difference + connection.Clocks.Offset
            else
                // Nothing was measured.
                0u
          Window = uint32 (Receiver.window connection.Receiver)
          SeqNr = seqNr
          AckNr = ackNr }

    let private send context (train: Train) (connection: Connection) =
        context.Effects.Add(Effect.Send(connection.Remote, train))
        connection.Counters.PacketsSent <- connection.Counters.PacketsSent + int64 train.Count

    /// A packet that carries nothing.
    let private bare context (header: Header) bits (connection: Connection) =
        send context (Train(header, bits, Owned.Empty)) connection
        connection.Activity.SentAt <- context.Now

    /// A SYN or a SYN-ACK.
    let private handshake context (header: Header) bits (connection: Connection) =
        send context (Train(header, bits, MeetingKey.sign &header connection.MeetingKey)) connection
        connection.Activity.SentAt <- context.Now

    /// The acknowledgement that is due is what this packet carries: every packet but the SYN acknowledges.
    let private acknowledging context (train: Train) (connection: Connection) =
        send context train connection
        connection.Activity.SentAt <- context.Now
        connection.Acks.Advertised <- Receiver.window connection.Receiver

        connection.Timers.Echo <-
            if
                (connection.Acks.Immediate || connection.Acks.Pending > 0)
                && context.Now < connection.Acks.LossyUntil
            then
                context.Now + echoAfter
            else
                Time.never

        connection.Acks.Pending <- 0
        connection.Acks.IsChallenge <- false
        connection.Timers.Ack <- Time.never
        // Only a STATE carries a selective acknowledgement.
        connection.Acks.Immediate <- connection.Acks.Immediate && Receiver.hasGap connection.Receiver

    let private ordinary context packetType seqNr (connection: Connection) =
        header context packetType connection.Ids.Send seqNr (Receiver.ackNr connection.Receiver) connection

    /// What lies ahead of a missing packet: bits, or ranges for a peer that knows them.
    let private sack (connection: Connection) =
        if connection.Sizes.KnowsReach then
            Receiver.ranges connection.Receiver
        else
            Receiver.sack connection.Receiver

    let stateWith bits context (connection: Connection) =
        let header = ordinary context PacketType.State (Scoreboard.next connection.Board) connection
        let ranges = connection.Sizes.KnowsReach
        acknowledging context (Train(header, sack connection, ranges, bits, Owned.Empty, 0, false)) connection
        connection.Acks.Immediate <- false

    let state context (connection: Connection) =
        let bits = if connection.Acks.IsChallenge then ExtensionBits.challenge else 0UL
        stateWith bits context connection

    let private hello (connection: Connection) = ExtensionBits.hello connection.Options.ReorderWindow

    let private synTrain context (connection: Connection) =
        let id =
            match connection.Dialect with
            | Dialect.Bep29 -> connection.Ids.Receive
            | Dialect.UtpPunch -> connection.Ids.Send

        let bits = if connection.Sizes.OffersProbes then hello connection else 0UL
        let header = header context PacketType.Syn id connection.Ids.Syn (SeqNr 0us) connection
        Train(header, bits, MeetingKey.sign &header connection.MeetingKey)

    let syn context (connection: Connection) =
        send context (synTrain context connection) connection
        connection.Activity.SentAt <- context.Now

    /// A SYN that opens this node's NATs, and does not reach those of the peer.
    let primingSyn context (connection: Connection) =
        let train = synTrain context connection
        let bytes = Array.zeroCreate (train.LengthOf 0)
        train.Write(0, System.Span<byte> bytes) |> ignore
        context.Effects.Add(Effect.SendDatagram(connection.Remote, Owned bytes, int connection.PrimingHops))
        connection.Counters.PacketsSent <- connection.Counters.PacketsSent + 1L
        connection.Activity.SentAt <- context.Now

    /// The SYN-ACK never changes: its `seq_nr` is that of our first data. It announces probes if the SYN did.
    let synAck context (connection: Connection) =
        let bits = if connection.Sizes.KnowsProbes then hello connection else 0UL
        let next = Scoreboard.next connection.Board

        let header =
            { header context PacketType.State connection.Ids.Send next connection.Ids.Syn connection with
                Timestamp = Time.stamp context.Now + connection.Clocks.HandshakeOffset }

        handshake context header bits connection

    /// `conn` is the peer's receive id and `ack_nr` a number that it sent, so that libutp and libtorrent both take it.
    let resetAs sendId next bits context (connection: Connection) =
        let ackNr = Receiver.ackNr connection.Receiver
        bare context (header context PacketType.Reset sendId next ackNr connection) bits connection

    let reset bits context (connection: Connection) =
        resetAs connection.Ids.Send (Scoreboard.next connection.Board) bits context connection

    let run context (run: Run) (connection: Connection) =
        let header =
            ordinary context (if run.IsFin then PacketType.Fin else PacketType.Data) run.First connection
        // Numbered when packets were larger, it cannot be cut any more.
        let mayFragment = run.Size + Packet.HeaderLength > PathMtu.size connection.Sizes.Mtu
        acknowledging context (Train(header, Owned.Empty, 0UL, run.Data, run.Size, mayFragment)) connection

        if run.IsFin && connection.Receiving = ReceiveState.Open then
            connection.Closing.ActiveClose <- true

    /// A path probe, the answer to one or to a challenge, or a share of a key acknowledges as a STATE does, but is not the acknowledgement that
    /// is due: it may be lost.
    let private beside context bits (payload: Owned) (connection: Connection) =
        let header = ordinary context PacketType.State (Scoreboard.next connection.Board) connection
        let ranges = connection.Sizes.KnowsReach
        send context (Train(header, sack connection, ranges, bits, payload, payload.Length, false)) connection

    /// A datagram of exactly `size` bytes.
    let probe context id size (connection: Connection) =
        let bits = ExtensionBits.probe id size
        let length = Packet.lengthOf (sack connection).Length bits 0
        beside context bits (Owned(Array.zeroCreate (size - length))) connection

    let reply context bits (connection: Connection) = beside context bits Owned.Empty connection

    /// The share is an extension and not a payload, so that traces contain it.
    let keyShare context (share: Owned) (connection: Connection) =
        let header = ordinary context PacketType.State (Scoreboard.next connection.Board) connection
        let ranges = connection.Sizes.KnowsReach
        send context (Train(header, sack connection, ranges, ExtensionBits.keyShare, share)) connection
