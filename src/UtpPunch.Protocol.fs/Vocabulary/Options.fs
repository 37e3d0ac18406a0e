namespace UtpPunch.Protocol

/// What holds for every stream of a node.
[<NoComparison>]
type StreamOptions =
    {
        /// Bytes written and not yet acknowledged, at most.
        SendBuffer: int
        /// Bytes received and not yet consumed, at most: the window that we advertise.
        ReceiveBuffer: int
        /// What a stream begins with: the largest datagram that it sends, header included, in bytes of UDP payload.
        PacketSize: int
        /// What that may grow to when the path carries it and the peer is one of ours (RFC 8899: MAX_PLPMTU). No more than `PacketSize`:
        /// nothing is searched for.
        LargestPacket: int
        /// Packets in flight at most. libutp takes 1024 out of order, utp-punch 64.
        PacketWindow: int
        /// Nothing acknowledged for that long while data is outstanding ends the stream.
        GiveUpAfter: Duration
        /// Nothing heard for that long ends the stream.
        IdleTimeout: Duration
        /// Nothing sent for that long makes us send something, so that NATs keep their mapping.
        KeepAlive: Duration
        /// The first retransmission time-out, before any round trip was measured (RFC 6298, 2.1: 1 s).
        InitialRto: Duration
        /// The least retransmission time-out (BEP 29: 500 ms).
        MinRto: Duration
        /// What back-off makes of it at most. RFC 6298 asks for 60 s; a stream that gives up sooner must ask more often, or a few
        /// unlucky packets would end it.
        MaxRto: Duration
        /// The queueing delay that LEDBAT aims at (RFC 6817: at most 100 ms).
        TargetDelay: Duration
        /// Sends partly filled packets at once, instead of waiting for the last one of them to be acknowledged.
        NoDelay: bool
    }

/// What holds for a node.
[<NoComparison>]
type NodeOptions =
    {
        /// The dialect of the streams that it accepts.
        Dialect: Dialect
        /// Streams at most, opened and accepted ones together; half-open ones have a cap of their own.
        MaxConnections: int
        /// Streams at most whose opener has not yet proved that it receives.
        MaxHalfOpen: int
        /// How long a half-open stream waits for its proof.
        HalfOpenTimeout: Duration
        Bep29: StreamOptions
        UtpPunch: StreamOptions
    }

module StreamOptions =
    let bep29 =
        { SendBuffer = 1 <<< 20
          ReceiveBuffer = 1 <<< 20
          // RFC 8899, 5.1.2: BASE_PLPMTU.
          PacketSize = 1200
          // What one datagram holds over IPv4.
          LargestPacket = 65507
          PacketWindow = 1000
          GiveUpAfter = Time.seconds 45
          IdleTimeout = Time.seconds 180
          KeepAlive = Time.seconds 25
          InitialRto = Time.seconds 1
          MinRto = Time.milliseconds 500
          MaxRto = Time.seconds 6
          TargetDelay = Time.milliseconds 100
          NoDelay = true }

    /// The npm package's own limits: `mtu` 1000 and a `bufferSize` of 64, of which 63 are used.
    let utpPunch =
        let packetSize = Packet.HeaderLength + 1000

        { bep29 with PacketSize = packetSize; LargestPacket = packetSize; PacketWindow = 63 }

module NodeOptions =
    // libutp's keep-alive is the first thing that a silent libutp dialler sends, 29 s after the SYN-ACK, and our own diallers confirm for the
    // last time after 31: half-open streams wait longer, also for one whose timers are late.
    let standard =
        { Dialect = Dialect.Bep29
          MaxConnections = 16384
          MaxHalfOpen = 256
          HalfOpenTimeout = Time.seconds 40
          Bep29 = StreamOptions.bep29
          UtpPunch = StreamOptions.utpPunch }

    let forDialect dialect (options: NodeOptions) =
        match dialect with
        | Dialect.Bep29 -> options.Bep29
        | Dialect.UtpPunch -> options.UtpPunch
