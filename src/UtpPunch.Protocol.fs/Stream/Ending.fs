namespace UtpPunch.Protocol

/// What the application says of a stream and is told of it, up to the last word: `Closed`.
module internal Ending =

    /// How long an ended stream answers for a lost acknowledgement: longer than any peer goes on asking.
    let private linger = Time.seconds 60

    /// For how long silence must have lasted until we believe that the peer has our last acknowledgement. It repeats its FIN after
    /// one retransmission time-out, and again after two more; on a path that has lost nothing so far a few round trips will do.
    let quiet context connection =
        let isClean =
            Sender.retransmissions connection.Sender = 0L
            && connection.Duplicates = 0L
            && Rtt.isKnown connection.Rtt

        context.Now
        + (if isClean then
               max (Time.milliseconds 100) (4L * Rtt.probeAfter Connection.peersDelayedAck connection.Rtt)
           else
               3L * Rtt.timeout connection.Options connection.Rtt)

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

    let report context connection =
        if Sender.isFinished connection.Sender && not connection.ToldFinished then
            connection.ToldFinished <- true
            context.Effects.Add(Effect.Finished connection.ConnId)

        let room = Sender.room connection.Sender

        if room > connection.ToldRoom then
            context.Effects.Add(Effect.Writable(connection.ConnId, room))

        connection.ToldRoom <- room

    /// Both sides have ended, and the application knows of both.
    let conclude context connection =
        if connection.ToldEnded && connection.ToldFinished then
            context.Effects.Add(Effect.Closed(connection.ConnId, CloseReason.Finished))
            connection.Phase <- Phase.Lingering
            connection.ExpiresAt <- context.Now + linger

            if connection.ClosedFirst then connection.QuietAt <- quiet context connection

    /// Whether the stream is still open once the application has been told of all that came in this step: what arrived ahead of
    /// the end counts, also when both came in one receive call.
    let private isStillOpen context connection =
        if connection.Phase = Phase.Open then
            deliver context connection
            report context connection
            conclude context connection

        connection.Phase = Phase.Open

    let private die context reason connection =
        connection.Phase <- Phase.Dead
        context.Effects.Add(Effect.Closed(connection.ConnId, reason))

    let close context reason connection =
        match connection.Phase with
        | Phase.Lingering
        | Phase.Dead -> ()
        | Phase.SynReceived -> connection.Phase <- Phase.Dead
        | Phase.SynSent -> die context reason connection
        | Phase.Open -> if isStillOpen context connection then die context reason connection

    let closeWithReset context reason connection =
        if connection.Phase <> Phase.Open then
            close context reason connection
        elif isStillOpen context connection then
            PacketBuilder.reset context connection
            die context reason connection

    let forget connection = connection.Phase <- Phase.Dead

    let abort context connection = closeWithReset context CloseReason.Aborted connection

    let finish connection = if connection.Phase <> Phase.Lingering then Sender.finish connection.Sender

    let release context timeout connection =
        match connection.Phase with
        | Phase.SynSent
        | Phase.SynReceived -> abort context connection
        | Phase.Open ->
            deliver context connection
            Sender.finish connection.Sender
            connection.Released <- ValueSome timeout
            connection.LastProgressAt <- context.Now
            // What was delivered and not taken will not be taken any more.
            let unread = connection.Options.ReceiveBuffer - Receiver.window connection.Receiver
            Receiver.consume unread connection.Receiver
        | Phase.Lingering
        | Phase.Dead -> ()

    let write bytes connection = if connection.Phase <> Phase.Lingering then Sender.write bytes connection.Sender

    let consume count connection =
        if connection.Phase <> Phase.Lingering && connection.Released.IsNone then
            Receiver.consume count connection.Receiver

    let setIdleTimeout duration connection = connection.IdleTimeout <- duration

    let receiveReset context (header: Header) connection =
        let fits =
            match connection.Phase, connection.Dialect with
            | Phase.SynSent, Dialect.Bep29 -> header.AckNr = connection.SynNr
            // The npm package's RESETs carry zeros: the id has to do.
            | (Phase.SynSent | Phase.Open), Dialect.UtpPunch -> true
            | _ ->
                // libutp puts the number of the packet that it answers into ack_nr, which for our STATE is the next one.
                let ahead = header.AckNr - Sender.oldest connection.Sender + 1
                ahead >= -Connection.ackSlack && ahead <= Sender.packets connection.Sender + 1

        if not fits then
            PacketBuilder.note context Rule.ResetOutOfRange connection
        else
            PacketBuilder.note context Rule.ResetAccepted connection

            match connection.Phase with
            | Phase.SynSent -> close context CloseReason.Refused connection
            | Phase.Open ->
                if isStillOpen context connection then
                    // The peer has sent all, has acknowledged every byte, and has forgotten the stream before our FIN came: the
                    // npm package and libutp answer it so.
                    if connection.ToldEnded && Sender.isFinishing connection.Sender then
                        connection.ToldFinished <- true
                        context.Effects.Add(Effect.Finished connection.ConnId)
                        die context CloseReason.Finished connection
                    else
                        die context CloseReason.Reset connection
            | Phase.SynReceived
            | Phase.Lingering
            | Phase.Dead -> connection.Phase <- Phase.Dead
