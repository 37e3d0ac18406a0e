namespace UtpPunch.Protocol

/// Header prediction (Van Jacobson; RFC 7323, 5.6): nearly every packet of a stream that flows one way is the next one, acknowledges
/// nothing new, and shows clocks that go on as they did. It is told by a few comparisons, and does to the stream what `Input` would do in
/// many more. Whatever is unusual about a packet is left to `Input`.
module internal HeaderPrediction =
    let private isPlain (packet: inref<Packet>) (connection: Connection) =
        packet.Header.Type = PacketType.Data
        && packet.Bits = 0UL
        && packet.Sack.IsEmpty
        && connection.Dialect = Dialect.Bep29
        && not connection.Closing.Released

    let private showsNothingNew (packet: inref<Packet>) (connection: Connection) =
        packet.Header.Window > 0u
        && packet.Header.Window <= connection.Sizes.LargestWindow
        && packet.Payload.Length <= connection.Sizes.LargestPayload
        && Sender.peerWindow connection.Sender > 0L
        && packet.Header.AckNr = Scoreboard.oldest connection.Board + -1

    let private fitsMemory context (packet: inref<Packet>) =
        context.Held + int64 packet.Payload.Length <= context.Budget

    /// Takes a packet that is what an established stream expects. False if it is not; then nothing has changed.
    let tryTake context arrivedAt (packet: inref<Packet>) (connection: Connection) =
        let header = &packet.Header
        let measuresRound = connection.Sizes.KnowsReach

        if
            isPlain &packet connection
            && showsNothingNew &packet connection
            && TimestampCheck.isOrdinary arrivedAt &header &connection.Clocks
            && fitsMemory context &packet
            && not (measuresRound && Receiver.isRoundOver (Time.stamp arrivedAt) connection.Receiver)
            && Receiver.tryAppend header.SeqNr header.Timestamp packet.Payload connection.Receiver
        then
            if measuresRound then Receiver.count packet.Payload.Length connection.Receiver

            context.Held <- context.Held + int64 packet.Payload.Length
            TimestampCheck.acceptOrdinary arrivedAt &header &connection.Clocks
            Queueing.measure &header header.TimestampDifference arrivedAt connection
            Sender.advertise (int64 header.Window) header.Timestamp false connection.Sender
            connection.Activity.HeardAt <- context.Now
            connection.Counters.PacketsReceived <- connection.Counters.PacketsReceived + 1L
            connection.Timers.Handshake <- Time.never
            connection.Acks.Pending <- connection.Acks.Pending + 1
            if connection.Acks.Pending >= 2 then connection.Acks.Immediate <- true
            true
        else
            false
