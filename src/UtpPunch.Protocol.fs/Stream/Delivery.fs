namespace UtpPunch.Protocol

/// What the application is told of an open stream: bytes, the end of either direction, and room to write.
module internal Delivery =
    /// Hands over what has become deliverable, then the end if it is reached.
    let deliver context connection =
        Receiver.drain
            (fun payload ->
                connection.BytesReceived <- connection.BytesReceived + int64 payload.Length

                if connection.Released.IsSome then
                    Receiver.consume payload.Length connection.Receiver
                else
                    context.Effects.Add(Effect.Deliver(connection.ConnId, payload)))
            connection.Receiver

        if Receiver.isComplete connection.Receiver && not connection.ToldEnded then
            connection.ToldEnded <- true
            context.Effects.Add(Effect.Ended connection.ConnId)

    /// Tells that the peer has acknowledged everything, and how much more may be written.
    let report context connection =
        if Sender.isFinished connection.Sender && not connection.ToldFinished then
            connection.ToldFinished <- true
            context.Effects.Add(Effect.Finished connection.ConnId)

        let room = Sender.room connection.Sender

        if room > connection.ToldRoom then
            context.Effects.Add(Effect.Writable(connection.ConnId, room))

        connection.ToldRoom <- room
