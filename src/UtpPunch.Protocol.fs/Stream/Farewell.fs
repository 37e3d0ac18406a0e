namespace UtpPunch.Protocol

/// How a stream whose both directions have ended parts from its peer, and from when on the process may exit (docs/ends.md). The side
/// whose FIN came first acknowledges last, and that acknowledgement may be lost: it repeats it until it knows that it has arrived.
/// One of our own nodes answers; of any other peer only silence or a RESET tells.
module internal Farewell =
    /// How long to go on without an answer: longer than a link is down for a moment, and longer than the first three time-outs of libutp
    /// (1, 2 and 4 s) or our own (at most 6 s, and our repetitions fill the gaps).
    let private longest = Time.seconds 8

    /// The npm package repeats its FIN every 100 ms, without back-off; so this allows for many losses in a row.
    let private longestUtpPunch = Time.seconds 3

    /// On a path that has lost nothing, strangers get that many repetitions within a few round trips, and no more.
    let private repetitionsIfClean = 6L

    let private isClean connection =
        Sender.retransmissions connection.Sender = 0L
        && connection.Duplicates = 0L
        && Rtt.isKnown connection.Rtt

    let private interval connection =
        let rtt = connection.Rtt
        let doublings = min connection.Parting.Repetitions 10

        if connection.Sizes.KnowsProbes then
            // It is answered at once.
            let first =
                if Rtt.isKnown rtt then
                    rtt.Smoothed + max (Time.milliseconds 10) (rtt.Smoothed / 4L)
                else
                    Time.milliseconds 500

            min (max first (Time.seconds 1)) (first * (1L <<< doublings))
        else
            let first = Time.milliseconds 150

            let first =
                if Rtt.isKnown rtt then
                    max (Time.milliseconds 15) (min first (rtt.Smoothed / 2L))
                else
                    first

            if isClean connection then first
            else min (Time.milliseconds 500) (first * (1L <<< doublings))

    let private longestWait connection =
        if not connection.Sizes.KnowsProbes && isClean connection then
            (repetitionsIfClean + 1L) * interval connection
        else
            let least =
                match connection.Dialect with
                | Dialect.Bep29 -> longest
                | Dialect.UtpPunch -> longestUtpPunch

            least + 4L * connection.Rtt.Smoothed

    /// How long the side that answers stays for an enquiry that comes again because the answer was lost. The next one is due after what
    /// the enquiry says; on a path that loses packets, two of them.
    let private courtesy connection =
        let every = connection.Parting.EnquiresAfter

        (if isClean connection then every else 3L * every)
        + every / 4L
        + Time.milliseconds 5

    /// The peer may still lack our last acknowledgement.
    let private isUnconfirmed connection = connection.ClosedFirst && not connection.Parting.PeerEnded

    let private enquire context connection =
        let repetition = connection.Parting.Repetitions
        let wait = interval connection

        let bits =
            match connection.Dialect with
            | Dialect.UtpPunch -> 0UL
            // A stranger may choke on the bits: every other acknowledgement goes without them.
            | Dialect.Bep29 when not connection.Sizes.KnowsProbes && repetition % 2 = 1 -> 0UL
            | Dialect.Bep29 -> ExtensionBits.enquiry (int (min 60_000L (wait / Time.milliseconds 1)))

        PacketBuilder.stateWith bits context connection

        connection.Parting <-
            { connection.Parting with
                Repetitions = repetition + 1
                RepeatAt = context.Now + wait }

    /// How long a peer may take to end in answer to our end when the process is about to exit: a few round trips, and the time for
    /// a lost FIN to be sent again on a path that loses packets.
    let grace connection =
        if isClean connection then
            max (Time.milliseconds 100) (4L * Rtt.probeAfter Connection.peersDelayedAck connection.Rtt)
        else
            3L * Rtt.timeout connection.Options connection.Rtt

    /// Both directions have ended.
    let start context connection =
        if isUnconfirmed connection then
            connection.Parting <-
                { connection.Parting with
                    QuietAt = context.Now + longestWait connection
                    // One of our own nodes is asked at once; a stranger has been sent the acknowledgement already, or is now.
                    RepeatAt =
                        if connection.Sizes.KnowsProbes then
                            context.Now
                        else
                            context.Now + interval connection
                    IsQuiet = false }

    /// The peer says that both directions have ended there as well.
    let receive context (packet: inref<Packet>) connection =
        let kind = ExtensionBits.kindOf packet.Bits

        if
            connection.Dialect = Dialect.Bep29
            && packet.Header.Type = PacketType.State
            && packet.Header.AckNr + 1 = Sender.next connection.Sender
            && Sender.isFinished connection.Sender
            && Receiver.isComplete connection.Receiver
        then
            let parting = { connection.Parting with PeerEnded = true; RepeatAt = Time.never }

            connection.Parting <-
                if kind = ExtensionBits.Kind.Enquiry then
                    { parting with
                        IsAsked = true
                        EnquiresAfter = Time.milliseconds (ExtensionBits.sizeOf packet.Bits) }
                else
                    { parting with QuietAt = context.Now }
        else
            PacketBuilder.note context Rule.PathProbeIgnored connection

    /// What is due of a stream that has ended.
    let settle context connection =
        let parting = connection.Parting

        if parting.IsAsked then
            PacketBuilder.stateWith ExtensionBits.farewell context connection

            connection.Parting <-
                { parting with
                    IsAsked = false
                    QuietAt = max parting.QuietAt (context.Now + courtesy connection)
                    IsQuiet = false }
        elif connection.AckNow && isUnconfirmed connection then
            // The FIN came (again): the peer is there, and has not heard us.
            connection.Parting <- { parting with Repetitions = 0; QuietAt = context.Now + longestWait connection; IsQuiet = false }
            enquire context connection
        elif connection.AckNow then
            PacketBuilder.stateWith (if parting.PeerEnded then ExtensionBits.farewell else 0UL) context connection
        elif context.Now >= parting.RepeatAt && context.Now < parting.QuietAt then
            enquire context connection

        if not connection.Parting.IsQuiet && context.Now >= connection.Parting.QuietAt then
            connection.Parting <- { connection.Parting with IsQuiet = true; RepeatAt = Time.never }

    let deadline connection =
        let parting = connection.Parting
        if parting.IsQuiet then Time.never else min parting.RepeatAt parting.QuietAt
