using System.Net;

namespace UtpPunch;

/// <summary>
/// What a node is made with. <see cref="UtpNode.BindAsync"/> copies and checks it; later changes have no effect.
/// Wherever a time-out says so, <see cref="Timeout.InfiniteTimeSpan"/> means never.
/// </summary>
public sealed class UtpNodeOptions
{
    /// <summary>Where the socket is bound.</summary>
    /// <value><c>[::]:0</c> by default: all addresses, IPv4 too, and a port that the system chooses. An IPv4 address makes a node
    /// that speaks IPv4 only.</value>
    public IPEndPoint LocalEndPoint { get; set; } = new(IPAddress.IPv6Any, 0);

    /// <summary>The dialect of the streams that the node accepts, and of those it dials unless <see cref="UtpConnectOptions.Dialect"/> says
    /// otherwise.</summary>
    /// <value><see cref="UtpDialect.Bep29"/> by default.</value>
    public UtpDialect Dialect { get; set; } = UtpDialect.Bep29;

    /// <summary>How many streams the node has at most, of all kinds together.</summary>
    /// <value>16384 by default.</value>
    public int MaxConnections { get; set; } = 16384;

    /// <summary>How many streams there are at most whose opener has not yet proved that it receives. More push out the oldest.</summary>
    /// <value>256 by default.</value>
    public int MaxHalfOpen { get; set; } = 256;

    /// <summary>How many bytes of a stream are written and not yet acknowledged at most. Writes wait for room.</summary>
    /// <value>1 MiB by default, at least 64 KiB. A stream cannot be faster than this much for each round trip.</value>
    public int SendBufferSize { get; set; } = 1 << 20;

    /// <summary>How many bytes of a stream wait to be read at most: the window that the peer is told of.</summary>
    /// <value>1 MiB by default, at least 64 KiB.</value>
    public int ReceiveBufferSize { get; set; } = 1 << 20;

    /// <summary>The largest datagram that streams of <see cref="Dialect"/> send, in bytes of UDP payload; 20 of them are the header.</summary>
    /// <value>Null by default: a stream begins with 1200 and finds out what the path carries, if its peer is such a node as well (path MTU
    /// discovery, RFC 8899); for <see cref="UtpDialect.UtpPunch"/> it is 1020 (the npm package's <c>mtu</c> of 1000). A value, 100 to
    /// 65507 and at most a quarter of the buffers, is that size, and nothing is searched for; only packets that vanish time after time
    /// make it smaller.</value>
    public int? PacketSize { get; set; }

    /// <summary>How many packets streams of <see cref="Dialect"/> have in flight at most.</summary>
    /// <value>Null by default, which is 1000 (libutp takes 1024 out of order), or 63 for <see cref="UtpDialect.UtpPunch"/> (the npm
    /// package takes 64).</value>
    public int? PacketWindow { get; set; }

    /// <summary>How long a peer may take to answer until connecting fails with <see cref="UtpError.ConnectTimeout"/>.</summary>
    /// <value>10 s by default.</value>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long nothing at all may be heard from a peer until its stream fails with <see cref="UtpError.IdleTimeout"/>. Peers
    /// that are alive send keep-alives.</summary>
    /// <value>3 minutes by default; may be infinite.</value>
    public TimeSpan IdleTimeout { get; set; } = TimeSpan.FromSeconds(180);

    /// <summary>How long data may be sent again and again without any of it being acknowledged, until its stream fails with
    /// <see cref="UtpError.ConnectionTimedOut"/>.</summary>
    /// <value>45 s by default; may be infinite.</value>
    public TimeSpan GiveUpTimeout { get; set; } = TimeSpan.FromSeconds(45);

    /// <summary>How long a disposed stream may go without progress until what it has not delivered is given up.</summary>
    /// <value>5 s by default; zero resets a stream as soon as it is disposed; may be infinite.</value>
    public TimeSpan LingerTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How long <see cref="UtpNode.DisposeAsync"/> lets streams finish.</summary>
    /// <value>10 s by default; may be infinite.</value>
    public TimeSpan ShutdownTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a stream may send nothing until it sends a packet for the sake of NATs, which forget silent mappings.</summary>
    /// <value>25 s by default, since many NATs forget after 30; may be infinite.</value>
    public TimeSpan KeepAliveInterval { get; set; } = TimeSpan.FromSeconds(25);

    /// <summary>How long an acknowledgement may take until packets are sent again, before any round trip was measured.</summary>
    /// <value>1 s by default (RFC 6298).</value>
    public TimeSpan InitialRto { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>The least time that an acknowledgement may take until packets are sent again.</summary>
    /// <value>500 ms by default (BEP 29).</value>
    public TimeSpan MinRto { get; set; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Whether packets that are not full are sent at once, instead of waiting for the acknowledgement of the last one that
    /// was not.</summary>
    /// <value>True by default, as Kestrel and HttpClient have it: small messages must not wait for a delayed acknowledgement. What is
    /// written faster than it is sent is joined into full packets either way.</value>
    public bool NoDelay { get; set; } = true;

    /// <summary>How the node uses its socket.</summary>
    /// <value><see cref="UtpTransport.Automatic"/> by default.</value>
    public UtpTransport Transport { get; set; } = UtpTransport.Automatic;

    /// <summary>The receive buffer to ask the system for, in bytes. The system may give less.</summary>
    /// <value>4 MiB by default.</value>
    public int SocketReceiveBuffer { get; set; } = 4 << 20;

    /// <summary>The send buffer to ask the system for, in bytes. The system may give less.</summary>
    /// <value>4 MiB by default.</value>
    public int SocketSendBuffer { get; set; } = 4 << 20;

    /// <summary>What the node records of itself, for <see cref="UtpNode.WriteTraceAsync"/> and <c>utp replay</c>.</summary>
    /// <value>Null by default, which is nothing.</value>
    public UtpTraceOptions? Trace { get; set; }

    /// <summary>
    /// The options of the npm package <c>utp-punch</c>, with its defaults, as options of ours, for a node that speaks its dialect.
    /// </summary>
    /// <param name="bufferSize">Packets: the ring of either direction. One fewer may be in flight, but 1000 at most, the rest of the path
    /// permitting; the buffers of this node hold as many as the ring, or 64 KiB if that is more.</param>
    /// <param name="mtu">Bytes of payload in a packet, 80 to 65487; <see cref="PacketSize"/> counts the 20 bytes of the header
    /// too.</param>
    /// <param name="timeoutMs">There, the time after which a silent socket says so, and for which it waits when it ends; here,
    /// <see cref="LingerTimeout"/> and <see cref="ConnectTimeout"/>. It does not end silent streams there, so <see cref="IdleTimeout"/>
    /// stays as it is.</param>
    /// <param name="resendMs">There, everything in flight is sent again every so often; here, <see cref="MinRto"/> and
    /// <see cref="InitialRto"/>, which adapt to the path.</param>
    /// <param name="keepAliveMs"><see cref="KeepAliveInterval"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is not positive, <paramref name="bufferSize"/> is less than 2, or
    /// <paramref name="mtu"/> is out of its range.</exception>
    public static UtpNodeOptions FromUtpPunch(
        int bufferSize = 64, int mtu = 1000, int timeoutMs = 5000, int resendMs = 100, int keepAliveMs = 1000)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bufferSize, 2);
        UtpNodeOptionsCheck.Between(
            mtu,
            UtpNodeOptionsCheck.LeastPacket - UtpNodeOptionsCheck.HeaderLength,
            UtpNodeOptionsCheck.MostPacket - UtpNodeOptionsCheck.HeaderLength,
            nameof(mtu));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(timeoutMs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(resendMs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(keepAliveMs);
        var packetSize = mtu + UtpNodeOptionsCheck.HeaderLength;
        var buffer = (int)Math.Clamp(
            Math.Max(bufferSize, UtpNodeOptionsCheck.PacketsPerBuffer) * (long)packetSize,
            UtpNodeOptionsCheck.LeastBuffer,
            UtpNodeOptionsCheck.MostBuffer);
        return new UtpNodeOptions
        {
            Dialect = UtpDialect.UtpPunch,
            PacketSize = packetSize,
            PacketWindow = Math.Min(bufferSize - 1, UtpNodeOptionsCheck.MostWindow),
            SendBufferSize = buffer,
            ReceiveBufferSize = buffer,
            ConnectTimeout = TimeSpan.FromMilliseconds(timeoutMs),
            LingerTimeout = TimeSpan.FromMilliseconds(timeoutMs),
            InitialRto = TimeSpan.FromMilliseconds(resendMs),
            MinRto = TimeSpan.FromMilliseconds(resendMs),
            KeepAliveInterval = TimeSpan.FromMilliseconds(keepAliveMs),
        };
    }
}
