namespace UtpPunch.Protocol

/// Takes the packets of a stream that the handshake has established. Nothing is sent here.
module internal Input =
    /// How long a gap or a duplicate makes a path count as one that loses packets.
    let private lossyFor = Time.seconds 10

    /// A peer's clock may be as coarse as that.
    let private echoClockGrain = Time.milliseconds 2

    let private advertise context (header: inref<Header>) advanced (connection: Connection) =
        let wasClosed = Sender.peerWindow connection.Sender = 0L

        // A SYN-ACK has no difference, and a clock of its own.
        if header.TimestampDifference = 0u && connection.Dialect = Dialect.Bep29 then
            Sender.advertiseUnstamped (int64 header.Window) connection.Sender
        else
            Sender.advertise (int64 header.Window) header.Timestamp advanced connection.Sender

        if header.Window > connection.Sizes.LargestWindow then
            MtuProbing.hear header.Window 0 connection

        // While the window was closed there was nothing to make progress with. A released stream does not wait for the peer's reader.
        if wasClosed && header.Window > 0u && not connection.Closing.Released then
            connection.Activity.ProgressAt <- context.Now

    /// The selective acknowledgement. A foreign peer may mean something else by the extension that ranges have.
    let private sackOf (packet: inref<Packet>) (connection: Connection) =
        if packet.HasRanges && not connection.Sizes.KnowsReach then
            Borrowed.Empty
        else
            packet.Sack

    let private acknowledge context arrivedAt echo (packet: inref<Packet>) there (connection: Connection) =
        let header = &packet.Header
        let sack = sackOf &packet connection
        let freed = header.AckNr - Scoreboard.oldest connection.Board + 1

        if freed = 0 && header.Type <> PacketType.State && sack.IsEmpty then
            // Data that acknowledges nothing new: the common case of a stream that flows one way.
            advertise context &header false connection
        elif freed >= 0 then
            let flight = Scoreboard.flight connection.Board

            // RFC 5681, 2: an acknowledgement that changes the window is no duplicate; a reader that takes its bytes in parts sends
            // several. One that names packets is no duplicate either way. A path probe acknowledges no further packet.
            let isBare =
                header.Type = PacketType.State
                && packet.Bits = 0UL
                && (not sack.IsEmpty || int64 header.Window = Sender.peerWindow connection.Sender)

            let echoed = TimestampCheck.roundTrip echo arrivedAt &header &connection.Clocks
            let isPlausible = echoed > 0L<us> && echoed >= connection.Rtt.Least / 2L

            let acknowledged =
                let isRanges = packet.HasRanges && not sack.IsEmpty
                // What this acknowledges was sent no later: not after the packet that it answers, or, where that is unknown, a round trip ago.
                let sentBy =
                    if isPlausible then
                        arrivedAt - echoed + min echoClockGrain (connection.Rtt.Least / 4L)
                    else
                        context.Now - connection.Rtt.Least

                Sender.acknowledge context.Now sentBy connection.Rtt header.AckNr sack isRanges isBare connection.Sender

            advertise context &header (freed > 0) connection

            if acknowledged.Bytes > 0 then
                if connection.Sums.Bytes = 0 then connection.Sums.Flight <- flight

                connection.Sums.Bytes <- connection.Sums.Bytes + acknowledged.Bytes
                connection.Sums.Packets <- connection.Sums.Packets + acknowledged.Packets
                DeliveryRate.acknowledged arrivedAt connection.Board.Rate

            // Where all seems lost and is retransmitted, since the path has become longer, only the echo shows why.
            let roundTrip =
                match acknowledged.RoundTrip with
                | ValueNone when acknowledged.Bytes > 0 && echoed > connection.Rtt.Least -> ValueSome echoed
                | known -> known

            match roundTrip with
            | ValueSome sample ->
                connection.Board.Rate.RoundTrip <- sample
                PathChange.observe context.Now sample acknowledged.Bytes there connection
                connection.Rtt <- Rtt.observe sample connection.Rtt
                // An echo does not show how long a packet waits in the peer's socket.
                if acknowledged.RoundTrip.IsSome then
                    Queueing.observeRoundTrip sample there connection.Delays.Difference connection
            | ValueNone -> ()

            if acknowledged.Freed > 0 then
                connection.Activity.ProgressAt <- context.Now
                connection.Attempts.Timeouts <- 0
                connection.Rtt <- Rtt.observeRetransmitted acknowledged.RetransmitAge connection.Rtt
                connection.Timers.Retransmit <- Time.never
                connection.Timers.LossProbe <- Time.never

                // The arrival of one retransmitted packet is not enough progress for further probes.
                if acknowledged.Fresh || acknowledged.Freed > 1 then connection.Attempts.LossProbes <- 0

            connection.Sums.Lost <- connection.Sums.Lost + acknowledged.Lost

            if acknowledged.Congested then
                connection.Sums.Congested <- true
                PacketBuilder.note context Rule.FastRetransmit connection

    /// Bytes that will not be read are neither taken nor acknowledged; a RESET follows once ours are (RFC 9293, 3.6.1: SHLD-3).
    let private isUnwanted (packet: inref<Packet>) (connection: Connection) =
        connection.Closing.Released
        && not packet.Payload.IsEmpty
        && packet.Header.SeqNr - Receiver.ackNr connection.Receiver > 0

    let private arrive context (packet: inref<Packet>) (connection: Connection) =
        let isFin = packet.Header.Type = PacketType.Fin
        let hadGap = Receiver.hasGap connection.Receiver

        // The node has no memory left: the packet is lost, and its sender will notice.
        let isExhausted = context.Held + int64 packet.Payload.Length > context.Budget

        let before = Receiver.ackNr connection.Receiver

        let arrival =
            if isExhausted then
                Arrival.Overrun
            elif Receiver.isOld packet.Header.SeqNr packet.Header.Timestamp context.Now connection.Receiver then
                Arrival.Old
            else
                Receiver.accept packet.Header.SeqNr packet.Payload isFin connection.Receiver

        if packet.Payload.Length > connection.Sizes.LargestPayload then
            MtuProbing.hear 0u packet.Payload.Length connection

        if hadGap || arrival = Arrival.OutOfOrder || arrival = Arrival.Duplicate then
            connection.Acks.LossyUntil <- context.Now + lossyFor

        match arrival with
        | Arrival.InOrder ->
            Receiver.pass before packet.Header.Timestamp context.Now connection.Receiver
            context.Held <- context.Held + int64 packet.Payload.Length
            connection.Acks.Pending <- connection.Acks.Pending + 1

            // Two packets, the end, or a gap that has just become smaller: at once.
            if connection.Acks.Pending >= 2 || isFin || hadGap then connection.Acks.Immediate <- true

            if Receiver.isComplete connection.Receiver then
                connection.Receiving <- ReceiveState.FinReceived
        | Arrival.OutOfOrder ->
            context.Held <- context.Held + int64 packet.Payload.Length
            connection.Acks.Immediate <- true
            PacketBuilder.note context Rule.OutOfOrder connection
        | Arrival.Duplicate ->
            connection.Acks.Immediate <- true
            connection.Counters.Duplicates <- connection.Counters.Duplicates + 1L
            PacketBuilder.note context Rule.Duplicate connection
        | Arrival.Overrun ->
            connection.Acks.Immediate <- true

            if isExhausted || Receiver.isLimited connection.Receiver then
                PacketBuilder.note context Rule.MemoryExhausted connection
            else
                PacketBuilder.note context Rule.WindowOverrun connection
        | Arrival.Old ->
            // RFC 7323, 5.3, R1.
            connection.Acks.Immediate <- true
            PacketBuilder.note context Rule.OldDuplicate connection
        | Arrival.BeyondFin -> PacketBuilder.note context Rule.BeyondFin connection
        | Arrival.OutOfRange -> PacketBuilder.note context Rule.SeqOutOfRange connection

    /// Lets the receive window grow, as long as the node holds less than half of what it may: a stream may hold a quarter of the rest.
    let private tune context arrivedAt echo (packet: inref<Packet>) (connection: Connection) =
        if connection.Sizes.KnowsReach then
            let at = Time.stamp arrivedAt

            if Receiver.isRoundOver at connection.Receiver then
                let rest = (context.Budget - context.Held) / 4L
                let most = int (min rest (int64 connection.Options.MaxReceiveBuffer))
                let isShort = Rtt.isKnown connection.Rtt && connection.Rtt.Least < Rtt.shortPath
                let limit = if context.Held < context.Budget / 2L && not isShort then most else 0
                let roundTrip = TimestampCheck.roundTrip echo arrivedAt &packet.Header &connection.Clocks
                Receiver.tune at (int roundTrip) limit connection.Receiver

            Receiver.count packet.Payload.Length connection.Receiver

    /// No packet is under way for longer.
    let private underWay = Time.seconds 60

    /// Whether the numbers of a packet are those of the peer: it acknowledges neither what was never sent, nor less than could still be
    /// under way, and its own number lies within reach. The npm package retransmits data with the acknowledgement of its first
    /// transmission, however old.
    /// Whether a packet from an unknown address may be the peer's, by its numbers.
    let isInRange (header: inref<Header>) (connection: Connection) =
        let ahead = header.AckNr - Scoreboard.oldest connection.Board + 1

        ahead <= Scoreboard.packets connection.Board
        && ahead >= -(Peer.ackSlack + Scoreboard.peakPackets connection.Board)
        && (header.Type = PacketType.State || Receiver.isInRange header.SeqNr connection.Receiver)

    let private fits context (header: inref<Header>) (connection: Connection) =
        let ahead = header.AckNr - Scoreboard.oldest connection.Board + 1

        let lag =
            match connection.Dialect with
            | Dialect.Bep29 when
                Scoreboard.packets connection.Board = 0 && context.Now - connection.Activity.ProgressAt >= underWay
                ->
                Peer.ackSlack
            | Dialect.Bep29 -> Peer.ackSlack + Scoreboard.peakPackets connection.Board
            | Dialect.UtpPunch -> 0x8000

        if ahead > Scoreboard.packets connection.Board || ahead < -lag then
            PacketBuilder.note context Rule.AckOutOfRange connection
            false
        elif header.Type <> PacketType.State && not (Receiver.isInRange header.SeqNr connection.Receiver) then
            PacketBuilder.note context Rule.SeqOutOfRange connection
            false
        else
            true

    let private isResponse (packet: inref<Packet>) (connection: Connection) =
        ExtensionBits.kindOf packet.Bits = ExtensionBits.Kind.Response
        && TimestampCheck.isResponse (ExtensionBits.stampOf packet.Bits) &connection.Clocks

    /// Which of our clocks a packet echoes. Only one that echoes the current one may acknowledge what was sent since the handshake.
    let private echo arrivedAt (packet: inref<Packet>) (connection: Connection) =
        match connection.Dialect with
        | Dialect.UtpPunch -> Echo.Current
        | Dialect.Bep29 ->
            let header = &packet.Header

            if TimestampCheck.isOrdinary arrivedAt &header &connection.Clocks then
                Echo.Current
            else
                match
                    TimestampCheck.echo connection.Rtt connection.Activity.SentAt arrivedAt &header &connection.Clocks
                with
                | Echo.Handshake when
                    header.AckNr - Scoreboard.oldest connection.Board >= 0 || not (sackOf &packet connection).IsEmpty
                    ->
                    Echo.Stray
                | Echo.Stray when isResponse &packet connection -> Echo.Current
                | echo -> echo

    /// Whether a packet acknowledges, or brings, what none before it did.
    let private isNew (header: inref<Header>) (connection: Connection) =
        header.AckNr - Scoreboard.oldest connection.Board >= 0
        || header.Type <> PacketType.State
           && header.SeqNr - Receiver.ackNr connection.Receiver > 0
           && not (Receiver.isHeld header.SeqNr connection.Receiver)

    /// A path probe is longer than other packets: its delay is no measure of the queue.
    let private isProbe (packet: inref<Packet>) =
        packet.Bits <> 0UL && ExtensionBits.kindOf packet.Bits = ExtensionBits.Kind.Probe

    /// A challenge is answered also if its own clock is in doubt: after a sleep each end may doubt the other.
    let private hearChallenge (packet: inref<Packet>) (connection: Connection) =
        if
            ExtensionBits.kindOf packet.Bits = ExtensionBits.Kind.Challenge
            && packet.Header.Type = PacketType.State
            && connection.Sizes.KnowsProbes
        then
            connection.Sizes <- { connection.Sizes with Reply = ExtensionBits.response packet.Header.Timestamp }

    let private hearShare context (packet: inref<Packet>) (connection: Connection) =
        if
            connection.State = StreamState.Established
            && packet.Header.Type = PacketType.State
            && connection.Sizes.KnowsProbes
        then
            context.HasShare <- true
        else
            PacketBuilder.note context Rule.PathProbeIgnored connection

    /// Answers a packet that may be forged with a STATE, which a genuine peer echoes.
    let private reject context arrivedAt (packet: inref<Packet>) (connection: Connection) =
        let header = &packet.Header
        PacketBuilder.note context Rule.TimestampOutOfRange connection
        hearChallenge &packet connection

        if TimestampCheck.reject (isNew &header connection) connection.Rtt context.Now &connection.Clocks then
            connection.Acks.Immediate <- true
            connection.Acks.IsChallenge <- connection.Sizes.KnowsProbes

            // The STATE echoes the packet, if there is no response: after a sleep, each of two nodes has to learn the other's clock anew.
            if not connection.Sizes.KnowsProbes then
                connection.Delays.Difference <- Time.stamp arrivedAt - header.Timestamp
                connection.Delays.IsMeasured <- true

        if TimestampCheck.isForged &connection.Clocks then
            Closing.closeWithReset context CloseReason.Aborted connection

    /// The delay of our packets that a packet reports; 0 for none. The largest number means none from old clients.
    let private reportedDelay echo (header: inref<Header>) =
        if echo = Echo.Handshake || header.TimestampDifference = 0x7FFFFFFFu then
            0u
        else
            header.TimestampDifference

    let private take context arrivedAt echo (packet: inref<Packet>) (connection: Connection) =
        let header = &packet.Header
        let carries = header.Type <> PacketType.State
        let there = reportedDelay echo &header
        connection.Activity.HeardAt <- context.Now
        connection.Counters.PacketsReceived <- connection.Counters.PacketsReceived + 1L
        let isCopy = carries && not (isNew &header connection)
        TimestampCheck.accept isCopy echo arrivedAt &header &connection.Clocks

        if not (isProbe &packet) then Queueing.measure &header there arrivedAt connection

        acknowledge context arrivedAt echo &packet there connection

        if packet.Bits <> 0UL then
            match ExtensionBits.kindOf packet.Bits with
            | ExtensionBits.Kind.Enquiry
            | ExtensionBits.Kind.Farewell -> Farewell.receive context &packet connection
            | ExtensionBits.Kind.Challenge -> hearChallenge &packet connection
            | ExtensionBits.Kind.KeyShare -> hearShare context &packet connection
            | _ when connection.State = StreamState.Established -> MtuProbing.receive context &packet connection
            | _ -> ()

        // A repeated SYN-ACK: our confirmation has not arrived. A keep-alive on a stream that carried no data has the same numbers,
        // but its "timestamp_difference_microseconds" is that of our confirmation, and that of a SYN-ACK is 0.
        if
            not carries
            && not connection.Incoming
            && header.AckNr = connection.Ids.Syn
            && header.SeqNr = Receiver.ackNr connection.Receiver + 1
        then
            if header.TimestampDifference = 0u then connection.Acks.Immediate <- true
        else
            connection.Timers.Handshake <- Time.never

        if carries then
            if isUnwanted &packet connection then
                PacketBuilder.note context Rule.DataAfterRelease connection
                connection.Closing.HasLostBytes <- true
            else
                tune context arrivedAt echo &packet connection
                arrive context &packet connection

    let receive context arrivedAt (packet: inref<Packet>) (connection: Connection) =
        match connection.State with
        | StreamState.Closed
        | StreamState.SynReceived -> ()
        | StreamState.SynSent ->
            if Handshake.receiveSynAck context arrivedAt &packet connection then
                connection.Activity.HeardAt <- context.Now
                connection.Counters.PacketsReceived <- connection.Counters.PacketsReceived + 1L
        | StreamState.Established
        | StreamState.TimeWait ->
            if fits context &packet.Header connection then
                match echo arrivedAt &packet connection with
                | Echo.Stray -> reject context arrivedAt &packet connection
                | echo -> take context arrivedAt echo &packet connection
