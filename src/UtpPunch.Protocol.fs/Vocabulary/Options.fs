namespace UtpPunch.Protocol

/// The options of a node's streams.
[<NoComparison>]
type StreamOptions =
    {
        /// Bytes written and not yet acknowledged, at most.
        SendBuffer: int
        /// What that grows to while it holds the application back, towards a peer that announces how many packets it takes.
        MaxSendBuffer: int
        /// Bytes received and not yet consumed, at most: the window that we advertise.
        ReceiveBuffer: int
        /// What that grows to while the application keeps up, towards a peer that announces how many packets it takes.
        MaxReceiveBuffer: int
        /// The initial size of full packets, header included, in bytes of UDP payload (RFC 8899: BASE_PLPMTU).
        PacketSize: int
        /// The size up to which the path is probed if the peer supports it (RFC 8899: MAX_PLPMTU). If it is `PacketSize`, the path is not
        /// probed.
        LargestPacket: int
        /// Packets in flight at most. libutp takes 1024 out of order, utp-punch 64.
        PacketWindow: int
        /// The same towards a peer that announces how many it takes. It is never more than that.
        MaxPacketWindow: int
        /// How many packets ahead of a missing one are held, and announced; 0 announces nothing, and 1024 are held, as from any peer that
        /// announces nothing. At most 16384: half of the numbers.
        ReorderWindow: int
        /// How long data may be outstanding without an acknowledgement before the stream ends.
        GiveUpAfter: Duration
        /// How long no packet may be received before the stream ends.
        IdleTimeout: Duration
        /// After how long without sending a keep-alive is sent, so that NATs keep their mapping.
        KeepAlive: Duration
        /// Whether streams with one of our own nodes go on over another path when theirs is gone (RFC 9000, 9: connection migration). They
        /// wait for it no longer than for an acknowledgement or a packet. The streams of a meeting have `MeetPlan.PathTimeout` instead.
        Migrates: bool
        /// The first retransmission time-out, before any round trip was measured (RFC 6298, 2.1: 1 s).
        InitialRto: Duration
        /// The least retransmission time-out (BEP 29: 500 ms).
        MinRto: Duration
        /// The limit of the back-off. RFC 6298 asks for 60 s or more; a stream that gives up sooner must retransmit more often, or the loss of a
        /// few packets would end it.
        MaxRto: Duration
        /// The queueing delay that LEDBAT++ aims at (the draft: 60 ms; RFC 6817: at most 100 ms).
        TargetDelay: Duration
        /// How the rate of sending follows the path.
        Congestion: CongestionControl
        /// Sends partly filled packets at once (no Nagle algorithm).
        NoDelay: bool
    }

/// The options of a node.
[<NoComparison>]
type NodeOptions =
    {
        /// The dialect of accepted streams.
        Dialect: Dialect
        /// The most streams, opened and accepted ones together; half-open ones have a limit of their own.
        MaxConnections: int
        /// The most accepted streams from one address: an IPv4 address, or the first 64 bits of an IPv6 one. Loopback has no limit, and neither
        /// have the peers of meetings.
        MaxPerAddress: int
        /// The most accepted streams whose opener has not yet proved its address; SYNs beyond it are answered and not remembered.
        MaxHalfOpen: int
        /// Bytes that all streams together may hold of what was received, at most: not yet consumed, or behind a gap. A stream may hold a quarter
        /// of what is left.
        ReceiveBudget: int64
        /// How long a half-open stream waits for that proof.
        HalfOpenTimeout: Duration
        Bep29: StreamOptions
        UtpPunch: StreamOptions
    }

module StreamOptions =
    let bep29 =
        { SendBuffer = 1 <<< 20
          MaxSendBuffer = 32 <<< 20
          ReceiveBuffer = 1 <<< 20
          MaxReceiveBuffer = 32 <<< 20
          // RFC 8899, 5.1.2: BASE_PLPMTU.
          PacketSize = 1200
          // What one datagram holds over IPv4.
          LargestPacket = 65507
          PacketWindow = 1000
          MaxPacketWindow = 16384
          ReorderWindow = 16384
          GiveUpAfter = Time.seconds 45
          IdleTimeout = Time.seconds 180
          KeepAlive = Time.seconds 25
          Migrates = true
          InitialRto = Time.seconds 1
          MinRto = Time.milliseconds 500
          MaxRto = Time.seconds 6
          TargetDelay = Time.milliseconds 60
          Congestion = CongestionControls.ledbat
          NoDelay = true }

    /// The npm package's own limits: `mtu` 1000 and a `bufferSize` of 64, of which 63 are used.
    let utpPunch =
        let packetSize = Packet.HeaderLength + 1000

        { bep29 with
            PacketSize = packetSize
            LargestPacket = packetSize
            PacketWindow = 63
            MaxPacketWindow = 63
            ReorderWindow = 0 }

module NodeOptions =
    // libutp's keep-alive is the first thing that a silent libutp dialler sends, 29 s after the SYN-ACK, and our own diallers confirm for the
    // last time after 31: half-open streams wait longer, also for one whose timers are late.
    let standard =
        { Dialect = Dialect.Bep29
          MaxConnections = 16384
          MaxPerAddress = 1024
          MaxHalfOpen = 256
          ReceiveBudget = 512L * 1024L * 1024L
          HalfOpenTimeout = Time.seconds 40
          Bep29 = StreamOptions.bep29
          UtpPunch = StreamOptions.utpPunch }

    let forDialect dialect (options: NodeOptions) =
        match dialect with
        | Dialect.Bep29 -> options.Bep29
        | Dialect.UtpPunch -> options.UtpPunch
