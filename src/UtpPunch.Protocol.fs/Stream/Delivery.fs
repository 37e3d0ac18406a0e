namespace UtpPunch.Protocol

/// The effects that tell the application about an established stream: bytes, the end of either direction, and room to write.
module internal Delivery =
    /// What was busy and is silent for that long may have lost its path.
    let silence = Time.seconds 3

    /// Hands over what has become deliverable, then the end if it is reached.
    let deliver context (connection: Connection) =
        let before = connection.Counters.BytesReceived

        Receiver.drain
            (fun payload ->
                connection.Counters.BytesReceived <- connection.Counters.BytesReceived + int64 payload.Length
                context.Effects.Add(Effect.Deliver(connection.ConnId, payload)))
            connection.Receiver

        if not (isNull connection.Linked) && connection.Counters.BytesReceived > before then
            connection.Linked <- LinkedStream.hear (context.Now + silence) connection.Linked

        if connection.Receiving = ReceiveState.FinReceived then
            connection.Receiving <- ReceiveState.Ended
            context.Effects.Add(Effect.Ended connection.ConnId)

    /// Tells that the peer has acknowledged everything, and how much more may be written.
    let report context (connection: Connection) =
        if Sender.state connection.Sender = SendState.FinAcked then
            Sender.setFinished connection.Sender
            context.Effects.Add(Effect.Finished connection.ConnId)

        if connection.Rtt.Least >= Rtt.shortPath then
            Sender.grow connection.Congestion.Window connection.Sender

        let room = Sender.room connection.Sender

        if room > connection.ReportedRoom then
            let unacknowledged = Sender.unacknowledged connection.Sender
            context.Effects.Add(Effect.Writable(connection.ConnId, room, unacknowledged))

        connection.ReportedRoom <- room
