namespace UtpPunch.Protocol

/// How a stream in TIME-WAIT ends, and from when on the process may exit (docs/ends.md). The side that closed actively acknowledges
/// last, and that acknowledgement may be lost: it is repeated until the peer is known to have it. One of our own nodes answers; from
/// any other peer only silence or a RESET shows it.
module internal Farewell =
    /// How long to go on without an answer: longer than a link is down for a moment, and longer than the first three time-outs of
    /// libutp (1, 2 and 4 s) or one of ours (at most 6 s).
    let private longestWait = Time.seconds 8

    /// The npm package repeats its FIN every 100 ms, without back-off: this allows for many losses in a row.
    let private longestWaitUtpPunch = Time.seconds 3

    /// On a path that has lost nothing, other peers get that many repetitions within a few round trips, and no more.
    let private repetitionsIfClean = 6L

    let private isClean (connection: Connection) =
        Scoreboard.retransmissions connection.Board = 0L
        && connection.Counters.Duplicates = 0L
        && Rtt.isKnown connection.Rtt
        // Otherwise the SYN was sent three times.
        && (connection.Dialect = Dialect.UtpPunch || connection.Sizes.OffersProbes)

    let private interval (connection: Connection) =
        let rtt = connection.Rtt
        let doublings = min connection.Closing.Parting.Repetitions 10

        if connection.Sizes.KnowsProbes then
            // It is answered at once.
            let first =
                if Rtt.isKnown rtt then
                    rtt.Smoothed + max (Time.milliseconds 10) (rtt.Smoothed / 4L)
                else
                    Time.milliseconds 500

            min (max first (Time.seconds 1)) (first * (1L <<< doublings))
        else
            let most = Time.milliseconds 150

            let first =
                if Rtt.isKnown rtt then
                    max (Time.milliseconds 15) (min most (rtt.Smoothed / 2L))
                else
                    most

            if isClean connection then
                first
            else
                min (Time.milliseconds 500) (first * (1L <<< doublings))

    let private wait (connection: Connection) =
        if not connection.Sizes.KnowsProbes && isClean connection then
            (repetitionsIfClean + 1L) * interval connection
        else
            let least =
                match connection.Dialect with
                | Dialect.Bep29 -> longestWait
                | Dialect.UtpPunch -> longestWaitUtpPunch

            least + 4L * connection.Rtt.Smoothed

    /// How long the answering side stays for an enquiry that is repeated because the answer was lost. The next enquiry is due after the
    /// time that the enquiry states; on a path that loses packets, the side stays for two of them.
    let private courtesy (connection: Connection) =
        let every = connection.Closing.Parting.EnquiresAfter
        (if isClean connection then every else 3L * every) + every / 4L + Time.milliseconds 5

    /// Whether the peer may lack our last acknowledgement.
    let private isUnconfirmed (connection: Connection) =
        connection.Closing.ActiveClose && not connection.Closing.Parting.PeerEnded

    /// Announces that both directions have ended here, and repeats the acknowledgement of the peer's FIN.
    let private enquire context (connection: Connection) =
        let repetition = connection.Closing.Parting.Repetitions
        let next = interval connection

        let bits =
            match connection.Dialect with
            | Dialect.UtpPunch -> 0UL
            // A peer may not cope with the bits: every other acknowledgement has none.
            | Dialect.Bep29 when not connection.Sizes.KnowsProbes && repetition % 2 = 1 -> 0UL
            | Dialect.Bep29 -> ExtensionBits.enquiry (int (min 60_000L (next / Time.milliseconds 1)))

        PacketBuilder.stateWith bits context connection
        connection.Timers.Echo <- context.Now + next
        connection.Closing.Parting <- { connection.Closing.Parting with Repetitions = repetition + 1 }

    /// Both directions have ended. What is due is sent in the same step: `settle`.
    let start context (connection: Connection) =
        if isUnconfirmed connection then
            connection.Closing.Parting <-
                { connection.Closing.Parting with QuietAt = context.Now + wait connection; IsQuiet = false }

            // An acknowledgement of the FIN was sent before, unless it is due now. One of our own nodes is asked at once.
            connection.Timers.Echo <-
                context.Now + (if connection.Sizes.KnowsProbes then 0L<us> else interval connection)

    /// The peer announces that both directions have ended there as well.
    let receive context (packet: inref<Packet>) (connection: Connection) =
        let parting = { connection.Closing.Parting with PeerEnded = true }

        let isPlausible =
            connection.Dialect = Dialect.Bep29
            && packet.Header.Type = PacketType.State
            && packet.Header.AckNr + 1 = Scoreboard.next connection.Board
            && Receiver.isComplete connection.Receiver

        match Sender.state connection.Sender with
        | SendState.FinAcked
        | SendState.Finished when isPlausible ->
            connection.Closing.Parting <-
                if ExtensionBits.kindOf packet.Bits = ExtensionBits.Kind.Enquiry then
                    { parting with
                        IsAsked = true
                        EnquiresAfter = Time.milliseconds (ExtensionBits.sizeOf packet.Bits) }
                else
                    { parting with QuietAt = context.Now }
        | _ -> PacketBuilder.note context Rule.PathProbeIgnored connection

    let private answer context (connection: Connection) =
        PacketBuilder.stateWith ExtensionBits.farewell context connection
        connection.Timers.Echo <- Time.never

    /// Does what is due in TIME-WAIT.
    let settle context (connection: Connection) =
        let parting = connection.Closing.Parting

        if parting.IsAsked then
            answer context connection

            connection.Closing.Parting <-
                { parting with IsAsked = false; QuietAt = context.Now + courtesy connection; IsQuiet = false }
        elif connection.Acks.Immediate && isUnconfirmed connection then
            // The FIN has come, perhaps again: then no acknowledgement of it has arrived.
            connection.Closing.Parting <-
                { parting with Repetitions = 0; QuietAt = context.Now + wait connection; IsQuiet = false }

            enquire context connection
        elif connection.Acks.Immediate then
            if parting.PeerEnded then
                answer context connection
            else
                PacketBuilder.state context connection
                connection.Timers.Echo <- Time.never
        elif context.Now >= connection.Timers.Echo then
            if isUnconfirmed connection && context.Now < parting.QuietAt then
                enquire context connection
            else
                connection.Timers.Echo <- Time.never

        if not connection.Closing.Parting.IsQuiet && context.Now >= connection.Closing.Parting.QuietAt then
            connection.Closing.Parting <- { connection.Closing.Parting with IsQuiet = true }
            connection.Timers.Echo <- Time.never

    /// When the process may exit, if it has to wait for that.
    let quietAt (connection: Connection) =
        let parting = connection.Closing.Parting
        if parting.IsQuiet then Time.never else parting.QuietAt

    /// How long a peer may take to end in answer to our end when the process is about to exit: a few round trips, and on a path that
    /// loses packets the time in which a lost FIN is retransmitted.
    let grace (connection: Connection) =
        if isClean connection then
            max (Time.milliseconds 100) (4L * Rtt.probeAfter Peer.delayedAck connection.Rtt)
        else
            3L * Rtt.timeout connection.Options connection.Rtt
