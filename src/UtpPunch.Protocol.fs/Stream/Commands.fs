namespace UtpPunch.Protocol

/// What the application asks of a stream. A command for a stream that has ended meanwhile does nothing.
module internal Commands =
    let write bytes connection = if connection.Phase <> Phase.Lingering then Sender.write bytes connection.Sender

    /// The application took that many of the bytes delivered to it.
    let consume count connection =
        if connection.Phase <> Phase.Lingering && connection.Released.IsNone then
            Receiver.consume count connection.Receiver

    /// A FIN follows what was written (RFC 9293, 3.10.4: CLOSE).
    let finish connection = if connection.Phase <> Phase.Lingering then Sender.finish connection.Sender

    /// RFC 9293, 3.10.5: ABORT.
    let abort context connection = Closing.closeWithReset context CloseReason.Aborted connection

    /// The application neither reads nor writes any more. What was written is still sent, as long as the peer acknowledges something
    /// within `timeout`; what arrives is discarded.
    let release context timeout connection =
        match connection.Phase with
        | Phase.SynSent
        | Phase.SynReceived -> abort context connection
        | Phase.Open ->
            Delivery.deliver context connection
            Sender.finish connection.Sender
            connection.Released <- ValueSome timeout
            connection.LastProgressAt <- context.Now
            // What was delivered and not consumed will never be.
            let unread = connection.Options.ReceiveBuffer - Receiver.window connection.Receiver
            Receiver.consume unread connection.Receiver
        | Phase.Lingering
        | Phase.Dead -> ()

    let setIdleTimeout duration connection = connection.IdleTimeout <- duration
