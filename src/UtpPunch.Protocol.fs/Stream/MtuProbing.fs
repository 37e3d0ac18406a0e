namespace UtpPunch.Protocol

/// Path MTU discovery at work in a stream: sends the probes that `PathMtu` asks for, and applies the size that it finds to the sender, the
/// congestion control and the application. A probe has no number of its own and is not in flight: its loss means only that it was too long.
module internal MtuProbing =
    let private set mtu (connection: Connection) =
        if not (obj.ReferenceEquals(mtu, connection.Sizes.Mtu)) then
            connection.Sizes <- { connection.Sizes with Mtu = mtu }

    /// Applies the size that the search has found to new packets. Those that have their numbers stay as they are.
    let private take context mtu (connection: Connection) =
        let before = PathMtu.size connection.Sizes.Mtu
        set mtu connection
        let size = PathMtu.size mtu

        if size <> before then
            let payload = size - Packet.HeaderLength
            Scoreboard.setPayload payload connection.Board
            connection.Congestion <- connection.Congestion.Resized payload
            context.Effects.Add(Effect.PacketSized(connection.ConnId, payload))

    let private isOpen (connection: Connection) = connection.State = StreamState.Established

    /// The peer drops what lies further ahead than it has announced, and its view of the numbers is a little behind.
    let private reachMargin = 24

    /// The peer's SYN or SYN-ACK may announce that it answers probes, and how many packets it takes ahead of a missing one.
    let meet (bits: uint64) (connection: Connection) =
        if connection.Sizes.OffersProbes && ExtensionBits.kindOf bits = ExtensionBits.Kind.Hello then
            let own = connection.Options
            let reach = ExtensionBits.reachOf bits
            let knowsReach = reach > 0 && own.ReorderWindow > 0

            if knowsReach then
                Receiver.setReach own.ReorderWindow connection.Receiver
                Sender.lengthen (max 1 (min own.MaxPacketWindow (reach - reachMargin))) connection.Sender

            connection.Sizes <-
                { connection.Sizes with
                    KnowsProbes = true
                    KnowsReach = knowsReach
                    Mtu = PathMtu.meet (ExtensionBits.sizeOf bits) connection.Sizes.Mtu }

    /// The path is another one: packets are small again, and larger ones are tried.
    let restart context (connection: Connection) =
        let known = connection.Sizes.Mtu
        take context (PathMtu.restart (Endpoint.isIPv4 connection.Remote) connection.Options known) connection

    /// The peer has advertised a larger window than before, or sent a larger payload.
    let hear (window: uint32) payload (connection: Connection) =
        connection.Sizes <-
            { connection.Sizes with
                LargestWindow = max window connection.Sizes.LargestWindow
                LargestPayload = max payload connection.Sizes.LargestPayload }

    /// Takes the extension bits of a packet.
    let receive context (packet: inref<Packet>) (connection: Connection) =
        let bits = packet.Bits

        match ExtensionBits.kindOf bits with
        | ExtensionBits.Kind.Probe
        | ExtensionBits.Kind.Answer when not connection.Sizes.KnowsProbes || packet.Header.Type <> PacketType.State ->
            PacketBuilder.note context Rule.PathProbeIgnored connection
        | ExtensionBits.Kind.Probe ->
            // A probe that was truncated, or states another length, proves nothing.
            if Packet.lengthOf packet.Sack.Length bits packet.Payload.Length = ExtensionBits.sizeOf bits then
                let answer = ExtensionBits.answer (ExtensionBits.idOf bits) (ExtensionBits.sizeOf bits)
                connection.Sizes <- { connection.Sizes with Reply = answer }
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

    /// The system or the network reports that a datagram to the peer was too long.
    let tooLong context size limit (connection: Connection) =
        if isOpen connection then
            let before = PathMtu.size connection.Sizes.Mtu
            take context (PathMtu.tooLong context.Now size limit connection.Sizes.Mtu) connection

            if PathMtu.size connection.Sizes.Mtu < before then
                PacketBuilder.note context Rule.PathShrunk connection

    /// The retransmission timer fired. Whether packets in flight were too long for the path (RFC 8899, 4.3).
    let vanished context (connection: Connection) =
        let oldest = Scoreboard.oldestSize connection.Board + Packet.HeaderLength
        let longest = Scoreboard.longest connection.Board + Packet.HeaderLength
        let fallen = PathMtu.vanish context.Now connection.Attempts.Timeouts oldest longest connection.Sizes.Mtu

        if obj.ReferenceEquals(fallen, connection.Sizes.Mtu) then
            false
        else
            PacketBuilder.note context Rule.BlackHole connection
            take context fallen connection
            true

    /// Does what is due: a probe is lost, or another search begins.
    let tick context (connection: Connection) =
        if context.Now >= PathMtu.dueAt connection.Sizes.Mtu then
            set (PathMtu.expire context.Now connection.Sizes.Mtu) connection

        if Sender.wantsLarger connection.Sender then
            take context (PathMtu.wake context.Now connection.Sizes.Mtu) connection

    /// Answers a probe or a challenge, and sends the next probe of ours if larger packets would be of use.
    let settle context (connection: Connection) =
        if connection.Sizes.Reply <> 0UL then
            PacketBuilder.reply context connection.Sizes.Reply connection
            connection.Sizes <- { connection.Sizes with Reply = 0UL }

        if
            PathMtu.state connection.Sizes.Mtu = MtuState.Searching
            && Rtt.isKnown connection.Rtt
            && Sender.wantsLarger connection.Sender
        then
            let rto = Rtt.timeout connection.Options connection.Rtt
            let timeout = min (Rtt.probeAfter Peer.delayedAck connection.Rtt) (max (Time.seconds 1) rto)
            // Several packets must fit into the peer's window.
            let cap = int (min 65535u (connection.Sizes.LargestWindow / 4u))
            let next = PathMtu.probe context.Now timeout cap connection.Sizes.Mtu
            let isSent = PathMtu.probeId next <> PathMtu.probeId connection.Sizes.Mtu
            set next connection

            if isSent then
                PacketBuilder.note context Rule.PathProbe connection
                PacketBuilder.probe context (PathMtu.probeId next) (PathMtu.probed next) connection
