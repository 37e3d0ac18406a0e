namespace UtpPunch.Protocol

/// Path MTU discovery at work in a stream: what `PathMtu` decides is sent, and what it has found out is told to everybody whom the size
/// of a packet concerns. A probe has no number of its own and is no part of what is in flight: its loss means nothing but its size.
module internal MtuProbing =
    let private set mtu connection =
        if not (obj.ReferenceEquals(mtu, connection.Sizes.Mtu)) then
            connection.Sizes <- { connection.Sizes with Mtu = mtu }

    /// Packets are as large as the search says. What has its number already stays as it is.
    let private take context mtu connection =
        let before = PathMtu.size connection.Sizes.Mtu
        set mtu connection
        let size = PathMtu.size mtu

        if size <> before then
            let payload = size - Packet.HeaderLength
            Sender.setPayload payload connection.Sender
            connection.Congestion <- connection.Congestion.Resized payload
            context.Effects.Add(Effect.PacketSized(connection.ConnId, payload))

    let private isOpen connection = connection.Phase = Phase.Open

    /// The peer's SYN, or its answer to ours, says that it knows of probes.
    let meet (bits: uint64) connection =
        if connection.SaysHello && ExtensionBits.kindOf bits = ExtensionBits.Kind.Hello then
            connection.Sizes <-
                { connection.Sizes with
                    KnowsProbes = true
                    Mtu = PathMtu.meet (ExtensionBits.sizeOf bits) connection.Sizes.Mtu }

    /// The peer has advertised a larger window than before, or sent a larger payload.
    let hear (window: uint32) payload connection =
        connection.Sizes <-
            { connection.Sizes with
                LargestWindow = max window connection.Sizes.LargestWindow
                LargestHeard = max payload connection.Sizes.LargestHeard }

    /// Bits in a packet of an open stream. Whether it is one of ours, which is none of the ordinary ones.
    let receive context (packet: inref<Packet>) connection =
        let bits = packet.Bits

        match ExtensionBits.kindOf bits with
        | ExtensionBits.Kind.Probe
        | ExtensionBits.Kind.Answer when not connection.Sizes.KnowsProbes || packet.Header.Type <> PacketType.State ->
            PacketBuilder.note context Rule.PathProbeIgnored connection
        | ExtensionBits.Kind.Probe ->
            // One that was cut short on its way, or that lies, has proved nothing.
            if Packet.lengthOf packet.Sack.Length bits packet.Payload.Length = ExtensionBits.sizeOf bits then
                connection.Sizes <- { connection.Sizes with ProbeHeard = bits }
            else
                PacketBuilder.note context Rule.PathProbeIgnored connection
        | ExtensionBits.Kind.Answer ->
            let confirmed =
                PathMtu.confirm (ExtensionBits.idOf bits) (ExtensionBits.sizeOf bits) connection.Sizes.Mtu

            if obj.ReferenceEquals(confirmed, connection.Sizes.Mtu) then
                PacketBuilder.note context Rule.PathProbeIgnored connection
            else
                take context confirmed connection
        | _ -> ()

    /// Somebody says that a datagram to the peer was too long.
    let tooLong context size limit connection =
        if isOpen connection then
            let before = PathMtu.size connection.Sizes.Mtu
            take context (PathMtu.tooLong context.Now size limit connection.Sizes.Mtu) connection

            if PathMtu.size connection.Sizes.Mtu < before then
                PacketBuilder.note context Rule.PathShrunk connection

    /// The retransmission timer fired. Whether what was in flight was too long for the path.
    let vanished context connection =
        let oldest = Sender.oldestSize connection.Sender + Packet.HeaderLength
        let longest = Sender.longest connection.Sender + Packet.HeaderLength
        let fallen = PathMtu.vanish context.Now connection.TimeoutsInARow oldest longest connection.Sizes.Mtu

        if obj.ReferenceEquals(fallen, connection.Sizes.Mtu) then
            false
        else
            PacketBuilder.note context Rule.BlackHole connection
            take context fallen connection
            true

    /// What the time says: a probe is lost, or another search begins.
    let tick context connection =
        if context.Now >= PathMtu.dueAt connection.Sizes.Mtu then
            set (PathMtu.expire context.Now connection.Sizes.Mtu) connection

        if Sender.wantsLarger connection.Sender then
            take context (PathMtu.wake context.Now connection.Sizes.Mtu) connection

    /// Answers a probe, and sends the next of ours if there is something to win.
    let settle context connection =
        if connection.Sizes.ProbeHeard <> 0UL then
            let bits = connection.Sizes.ProbeHeard
            connection.Sizes <- { connection.Sizes with ProbeHeard = 0UL }

            PacketBuilder.probeAnswer
                context
                (ExtensionBits.answer (ExtensionBits.idOf bits) (ExtensionBits.sizeOf bits))
                connection

        if
            PathMtu.state connection.Sizes.Mtu = MtuState.Searching
            && Rtt.isKnown connection.Rtt
            && Sender.wantsLarger connection.Sender
        then
            let rto = Rtt.timeout connection.Options connection.Rtt
            let timeout = min (Rtt.probeAfter Connection.peersDelayedAck connection.Rtt) (max (Time.seconds 1) rto)
            // A packet must fit several times into what the peer takes.
            let cap = int (min 65535u (connection.Sizes.LargestWindow / 4u))
            let next = PathMtu.probe context.Now timeout cap connection.Sizes.Mtu
            let isSent = PathMtu.probeId next <> PathMtu.probeId connection.Sizes.Mtu
            set next connection

            if isSent then
                PacketBuilder.note context Rule.PathProbe connection
                PacketBuilder.probe context (PathMtu.probeId next) (PathMtu.probed next) connection
