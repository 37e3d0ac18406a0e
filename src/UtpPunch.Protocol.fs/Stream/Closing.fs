namespace UtpPunch.Protocol

/// How a stream closes: `conclude` when both directions have ended, `receiveReset` when the peer aborts, `close` and `closeWithReset`
/// when this side does. Each way ends with `Effect.Closed`, exactly once, after everything else that the application is told.
module internal Closing =
    /// How long an ended stream acknowledges a repeated FIN (RFC 9293: TIME-WAIT): longer than any peer repeats one.
    let private timeWait = Time.seconds 60

    /// Until when the peer must stay silent to have our last acknowledgement. A peer that lacks it repeats its FIN after one
    /// retransmission time-out, and again after two more; on a path that has lost nothing so far, a few round trips suffice.
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

    /// Closes the stream if both directions have ended and the application knows of both.
    let conclude context connection =
        if connection.ToldEnded && connection.ToldFinished then
            context.Effects.Add(Effect.Closed(connection.ConnId, CloseReason.Finished))
            connection.Phase <- Phase.Lingering
            connection.ExpiresAt <- context.Now + timeWait

            if connection.ClosedFirst then connection.QuietAt <- quiet context connection

    /// Whether the stream is still open once the application has been told of everything that arrived in this step: what arrived
    /// ahead of the end counts, also when both came in one receive call.
    let private isStillOpen context connection =
        if connection.Phase = Phase.Open then
            Delivery.deliver context connection
            Delivery.report context connection
            conclude context connection

        connection.Phase = Phase.Open

    let private fail context reason connection =
        connection.Phase <- Phase.Dead
        context.Effects.Add(Effect.Closed(connection.ConnId, reason))

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
