namespace UtpPunch.Protocol

/// How a stream closes: `conclude` when both directions have ended, `receiveReset` when the peer aborts, `close` and `closeWithReset`
/// when this side does. Each way ends with `Effect.Closed`, exactly once, after everything else that the application is told.
module internal Closing =
    /// How long an ended stream acknowledges a repeated FIN (RFC 9293: TIME-WAIT): longer than any peer repeats one.
    let private timeWait = Time.seconds 60

    let private fail context reason connection =
        connection.Phase <- Phase.Dead
        context.Effects.Add(Effect.Closed(connection.ConnId, reason))

    /// Closes the stream if both directions have ended and the application knows of both, or if ours has and the peer sent bytes that
    /// the application, which has released the stream, will never read.
    let conclude context connection =
        if connection.ToldFinished then
            if connection.ToldEnded then
                context.Effects.Add(Effect.Closed(connection.ConnId, CloseReason.Finished))
                connection.Phase <- Phase.Lingering
                connection.ExpiresAt <- context.Now + timeWait
                Farewell.start context connection
            elif connection.HasLostBytes then
                PacketBuilder.reset context connection
                fail context CloseReason.Released connection

    /// Whether the stream is still open once the application has been told of everything that arrived in this step: what arrived
    /// ahead of the end counts, also when both came in one receive call.
    let private isStillOpen context connection =
        if connection.Phase = Phase.Open then
            Delivery.deliver context connection
            Delivery.report context connection
            conclude context connection

        connection.Phase = Phase.Open

    /// Closes the stream without a word to the peer.
    let close context reason connection =
        match connection.Phase with
        | Phase.Lingering
        | Phase.Dead -> ()
        | Phase.SynReceived -> connection.Phase <- Phase.Dead
        | Phase.SynSent -> fail context reason connection
        | Phase.Open -> if isStillOpen context connection then fail context reason connection

    /// Closes the stream, and aborts it at the peer if it was open.
    let closeWithReset context reason connection =
        if connection.Phase <> Phase.Open then
            close context reason connection
        elif isStillOpen context connection then
            PacketBuilder.reset context connection
            fail context reason connection

    /// Ends a stream that the application has released and that the peer keeps open. If everything of ours was
    /// acknowledged, that is a good end for this side.
    let abandon context connection =
        let reason = if connection.ToldFinished then CloseReason.Released else CloseReason.Aborted
        closeWithReset context reason connection

    /// Ends TIME-WAIT early.
    let forget connection = connection.Phase <- Phase.Dead

    let receiveReset context (header: Header) connection =
        let fits =
            match connection.Phase, connection.Dialect with
            | Phase.SynSent, Dialect.Bep29 -> header.AckNr = connection.SynNr
            // The npm package's RESETs carry zeros: the id must suffice.
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
                    // The peer has sent everything, has acknowledged every byte, and has forgotten the stream before our FIN came:
                    // the npm package and libutp answer a FIN so.
                    if connection.ToldEnded && Sender.isFinishing connection.Sender then
                        connection.ToldFinished <- true
                        context.Effects.Add(Effect.Finished connection.ConnId)
                        fail context CloseReason.Finished connection
                    else
                        fail context CloseReason.Reset connection
            | Phase.SynReceived
            | Phase.Lingering
            | Phase.Dead -> connection.Phase <- Phase.Dead
