namespace UtpPunch.Protocol

/// What a packet changes in an open stream. Nothing is sent here.
module internal Input =
    /// How long a gap or a duplicate makes a path count as one that loses packets.
    let private lossyFor = Time.seconds 10

    /// The lesser of two samples that may wrap.
    let private least (known: uint32 voption) (sample: uint32) =
        match known with
        | ValueSome known when int32 (sample - known) >= 0 -> ValueSome known
        | _ -> ValueSome sample

    let private measure (header: Header) (arrivedAt: Instant) connection =
        connection.Difference <- Time.stamp arrivedAt - header.Timestamp
        connection.StepTheirDifference <- least connection.StepTheirDifference connection.Difference

        // 0 is no sample, and so is the largest number from old clients.
        if header.TimestampDifference <> 0u && header.TimestampDifference <> 0x7FFFFFFFu then
            connection.StepDifference <- least connection.StepDifference header.TimestampDifference

    let private advertise context (header: Header) advanced connection =
        let wasClosed = Sender.peerWindow connection.Sender = 0L
        Sender.advertise (int64 header.Window) header.Timestamp advanced connection.Sender

        if header.Window > connection.Sizes.LargestWindow then
            MtuProbing.hear header.Window 0 connection

        // While the window was closed there was nothing to make progress with.
        if wasClosed && header.Window > 0u then connection.LastProgressAt <- context.Now

    let private acknowledge context (packet: inref<Packet>) connection =
        let header = packet.Header
        let freed = header.AckNr - Sender.oldest connection.Sender + 1

        if freed = 0 && header.Type <> PacketType.State && packet.Sack.IsEmpty then
            // Data that acknowledges nothing new: the common case of a stream that flows one way.
            advertise context header false connection
        elif freed >= 0 then
            let flight = Sender.flight connection.Sender

            // RFC 5681, 2: an acknowledgement that changes the window is no duplicate; a reader that takes its bytes in parts sends
            // several. One that names packets speaks for itself. What goes out beside the stream tells of no further packet.
            let isBare =
                header.Type = PacketType.State
                && packet.Bits = 0UL
                && (not packet.Sack.IsEmpty || int64 header.Window = Sender.peerWindow connection.Sender)

            let acknowledged =
                Sender.acknowledge context.Now connection.Rtt header.AckNr packet.Sack isBare connection.Sender

            advertise context header (freed > 0) connection

            if acknowledged.Bytes > 0 then
                if connection.StepBytes = 0 then connection.StepFlight <- flight

                connection.StepBytes <- connection.StepBytes + acknowledged.Bytes
                connection.StepPackets <- connection.StepPackets + acknowledged.Packets

            match acknowledged.RoundTrip with
            | ValueSome sample ->
                connection.Rtt <- Rtt.observe sample connection.Rtt
                Connection.observeInflation sample header.TimestampDifference connection.Difference connection
            | ValueNone -> ()

            if acknowledged.Freed > 0 then
                connection.LastProgressAt <- context.Now
                connection.TimeoutsInARow <- 0
                connection.Rtt <- Rtt.answered acknowledged.Again connection.Rtt
                connection.RetransmitAt <- Time.never
                connection.LossProbeAt <- Time.never

                // One packet that was sent again and arrived is no progress that another probe could build on.
                if acknowledged.Fresh || acknowledged.Freed > 1 then connection.LossProbes <- 0

            connection.StepLost <- connection.StepLost + acknowledged.Lost

            if acknowledged.Congested then
                connection.StepCongested <- true
                PacketBuilder.note context Rule.FastRetransmit connection

    let private arrive context (packet: inref<Packet>) connection =
        let isFin = packet.Header.Type = PacketType.Fin
        let hadGap = Receiver.hasGap connection.Receiver

        let arrival = Receiver.accept packet.Header.SeqNr packet.Payload isFin connection.Receiver

        if packet.Payload.Length > connection.Sizes.LargestHeard then
            MtuProbing.hear 0u packet.Payload.Length connection

        if hadGap || arrival = Arrival.OutOfOrder || arrival = Arrival.Duplicate then
            connection.LossyUntil <- context.Now + lossyFor

        match arrival with
        | Arrival.InOrder ->
            connection.Unacknowledged <- connection.Unacknowledged + 1

            // Two packets, the end, or a gap that has just become smaller: at once.
            if connection.Unacknowledged >= 2 || isFin || hadGap then connection.AckNow <- true
        | Arrival.OutOfOrder ->
            connection.AckNow <- true
            PacketBuilder.note context Rule.OutOfOrder connection
        | Arrival.Duplicate ->
            connection.AckNow <- true
            connection.Duplicates <- connection.Duplicates + 1L
            PacketBuilder.note context Rule.Duplicate connection
        | Arrival.Overrun ->
            connection.AckNow <- true
            PacketBuilder.note context Rule.WindowOverrun connection
        | Arrival.BeyondFin -> PacketBuilder.note context Rule.BeyondFin connection
        | Arrival.OutOfRange -> PacketBuilder.note context Rule.SeqOutOfRange connection

    let receive context arrivedAt (packet: inref<Packet>) connection =
        let header = packet.Header
        let carries = header.Type <> PacketType.State

        match connection.Phase with
        | Phase.Dead
        | Phase.SynReceived -> ()
        | Phase.SynSent ->
            if Handshake.receiveSynAck context &packet connection then
                connection.LastHeardAt <- context.Now
                connection.PacketsReceived <- connection.PacketsReceived + 1L
        | Phase.Open
        | Phase.Lingering ->
            // Neither an acknowledgement of what was never sent, nor one older than could still be under way. The npm package
            // sends data again with the acknowledgement of its first sending, however old.
            let ahead = header.AckNr - Sender.oldest connection.Sender + 1

            let lag =
                match connection.Dialect with
                | Dialect.Bep29 -> Connection.ackSlack + Sender.peakPackets connection.Sender
                | Dialect.UtpPunch -> 0x8000

            if ahead > Sender.packets connection.Sender || ahead < -lag then
                PacketBuilder.note context Rule.AckOutOfRange connection
            elif carries && not (Receiver.isInRange header.SeqNr connection.Receiver) then
                PacketBuilder.note context Rule.SeqOutOfRange connection
            else
                connection.LastHeardAt <- context.Now
                connection.PacketsReceived <- connection.PacketsReceived + 1L

                // A probe takes longer than what it is measured by: it says nothing of the queue.
                if packet.Bits = 0UL || ExtensionBits.kindOf packet.Bits <> ExtensionBits.Kind.Probe then
                    measure header arrivedAt connection

                acknowledge context &packet connection

                if packet.Bits <> 0UL && connection.Phase = Phase.Open then
                    MtuProbing.receive context &packet connection

                // Its SYN-ACK again: it has not heard from us yet. A keep-alive of a stream that carried no data has the same numbers,
                // but "timestamp_difference_microseconds" is 0 only until a delay was measured, and none is measured from a SYN.
                if
                    not carries
                    && not connection.Incoming
                    && header.AckNr = connection.SynNr
                    && header.SeqNr = Receiver.ackNr connection.Receiver + 1
                then
                    if header.TimestampDifference = 0u then connection.AckNow <- true
                else
                    connection.HandshakeAt <- Time.never

                if carries then
                    arrive context &packet connection

                    if connection.Phase = Phase.Lingering then
                        connection.QuietAt <- Closing.quiet context connection
