namespace UtpPunch.Protocol

/// How a stream closes: `conclude` when both directions have ended, `receiveReset` when the peer aborts, `close` and `closeWithReset`
/// when this side does. Each way ends with `Effect.Closed`, exactly once, after everything else that the application is told.
module internal Closing =
    /// How long an ended stream acknowledges a repeated FIN (RFC 9293: TIME-WAIT): longer than any peer repeats one.
    let private timeWait = Time.seconds 60

    let private fail context reason (connection: Connection) =
        connection.State <- StreamState.Closed
        context.Effects.Add(Effect.Closed(connection.ConnId, reason))

    /// Closes the stream if both directions have ended and the application knows of both, or if ours has and the peer sent bytes that
    /// the application, which has released the stream, will never read.
    let conclude context (connection: Connection) =
        if Sender.state connection.Sender = SendState.Finished then
            if connection.Receiving = ReceiveState.Ended then
                context.Effects.Add(Effect.Closed(connection.ConnId, CloseReason.Finished))
                connection.State <- StreamState.TimeWait
                connection.Timers <- { Timers.stopped with Expiry = context.Now + timeWait }
                connection.Congestion <- Ended.Of connection.Congestion
                Farewell.start context connection
            elif connection.Closing.HasLostBytes then
                PacketBuilder.reset 0UL context connection
                fail context CloseReason.Released connection

    /// Whether the stream is still open once the application has been told of everything that arrived in this step: what arrived
    /// ahead of the end counts, also when both came in one receive call.
    let private isStillOpen context (connection: Connection) =
        if connection.State = StreamState.Established then
            Delivery.deliver context connection
            Delivery.report context connection
            conclude context connection

        connection.State = StreamState.Established

    /// Closes the stream without a word to the peer.
    let close context reason (connection: Connection) =
        match connection.State with
        | StreamState.TimeWait
        | StreamState.Closed -> ()
        | StreamState.SynReceived -> connection.State <- StreamState.Closed
        | StreamState.SynSent -> fail context reason connection
        | StreamState.Established -> if isStillOpen context connection then fail context reason connection

    let private closeWith bits context reason (connection: Connection) =
        if connection.State <> StreamState.Established then
            close context reason connection
        elif isStillOpen context connection then
            PacketBuilder.reset bits context connection
            fail context reason connection

    /// Closes the stream, and aborts it at the peer if it was open.
    let closeWithReset context reason (connection: Connection) = closeWith 0UL context reason connection

    /// Aborts the stream with an error code of the application's, if it is open to a peer that reads such codes. Whether it was.
    let abortWithCode context (code: uint32) (connection: Connection) =
        let mayTell = connection.State = StreamState.Established && connection.Sizes.KnowsProbes
        closeWith (if mayTell then ExtensionBits.errorCode code else 0UL) context CloseReason.Aborted connection
        mayTell && connection.State = StreamState.Closed

    /// The peer has sent everything and has acknowledged every byte: only the acknowledgement of our FIN is missing. libutp, libtorrent and the
    /// npm package forget a stream before they send that, or without.
    let private lacksOnlyLastAck (connection: Connection) =
        connection.Receiving = ReceiveState.Ended && Sender.isOnlyFinOutstanding connection.Sender

    let private finish context (connection: Connection) =
        Sender.setFinished connection.Sender
        context.Effects.Add(Effect.Finished connection.ConnId)

    /// Ends a stream that the application has released and that the peer keeps open, or has forgotten. If everything of ours was acknowledged,
    /// that is a good end for this side.
    let abandon context (connection: Connection) =
        if lacksOnlyLastAck connection then finish context connection
        let isFinished = Sender.state connection.Sender = SendState.Finished
        closeWithReset context (if isFinished then CloseReason.Released else CloseReason.Aborted) connection

    /// Ends TIME-WAIT early.
    let forget (connection: Connection) = connection.State <- StreamState.Closed

    /// Does what is due in TIME-WAIT, also in the step that began it: the last acknowledgement may be due.
    let settleTimeWait context (connection: Connection) =
        if context.Now >= connection.Timers.Expiry then
            forget connection
        else
            Farewell.settle context connection

    /// Whether a RESET is the peer's.
    [<RequireQualifiedAccess>]
    type private Verdict =
        | Genuine
        /// It may be: a STATE draws another one from a peer that does not know the stream any more (RFC 5961, 3.2: challenge ACK).
        | Doubtful
        | Forged

    let private judgeReset arrivedAt (header: inref<Header>) isAuthentic (connection: Connection) =
        let next = Scoreboard.next connection.Board

        match connection.State, connection.Dialect with
        // The peer of a meeting refuses under its key.
        | StreamState.SynSent, _ when not (isNull connection.Linked) ->
            if isAuthentic && header.AckNr = connection.Ids.Syn then
                Verdict.Genuine
            else
                Verdict.Forged
        // It may not have begun.
        | StreamState.SynSent, _ when connection.IsSimultaneous -> Verdict.Forged
        | StreamState.SynSent, Dialect.Bep29 ->
            if header.AckNr = connection.Ids.Syn then Verdict.Genuine else Verdict.Forged
        // The npm package's RESETs carry zeros: the id must suffice.
        | (StreamState.SynSent | StreamState.Established | StreamState.TimeWait), Dialect.UtpPunch -> Verdict.Genuine
        // Who has forgotten the stream puts the number of the packet that it answers into ack_nr, which for our STATE is the next one; who
        // ends it, the number of the last packet that it has received.
        | _ when header.AckNr = next || header.AckNr = next + -1 -> Verdict.Genuine
        | _ ->
            let ahead = header.AckNr - Scoreboard.oldest connection.Board + 1

            if
                connection.State <> StreamState.Established
                || ahead < -Peer.ackSlack
                || ahead > Scoreboard.packets connection.Board
            then
                Verdict.Forged
            elif not (Receiver.isInRange header.SeqNr connection.Receiver) then
                Verdict.Doubtful
            else
                match
                    TimestampCheck.echo connection.Rtt connection.Activity.SentAt arrivedAt &header &connection.Clocks
                with
                // Packets of ours are under way to a peer that ends the stream.
                | Echo.Current
                | Echo.Handshake -> Verdict.Genuine
                | _ -> Verdict.Doubtful

    let private tellCode context bits (connection: Connection) =
        if connection.Sizes.KnowsProbes && ExtensionBits.kindOf bits = ExtensionBits.Kind.ErrorCode then
            context.Effects.Add(Effect.ResetWithCode(connection.ConnId, ExtensionBits.errorCodeOf bits))

    /// `isAuthentic`: it carries the code of the stream's meeting.
    let receiveReset context arrivedAt (packet: inref<Packet>) isAuthentic (connection: Connection) =
        let header = packet.Header

        match judgeReset arrivedAt &header isAuthentic connection with
        | Verdict.Forged -> PacketBuilder.note context Rule.ResetOutOfRange connection
        | Verdict.Doubtful ->
            PacketBuilder.note context Rule.ResetOutOfRange connection

            if TimestampCheck.challenge connection.Rtt context.Now &connection.Clocks then
                connection.Acks.Immediate <- true
                connection.Acks.IsChallenge <- connection.Sizes.KnowsProbes
        | Verdict.Genuine ->
            PacketBuilder.note context Rule.ResetAccepted connection

            match connection.State with
            | StreamState.SynSent -> close context CloseReason.Refused connection
            | StreamState.Established ->
                if isStillOpen context connection then
                    if lacksOnlyLastAck connection then
                        finish context connection
                        fail context CloseReason.Finished connection
                    else
                        tellCode context packet.Bits connection
                        fail context CloseReason.Reset connection
            | StreamState.SynReceived
            | StreamState.TimeWait
            | StreamState.Closed -> connection.State <- StreamState.Closed
