using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.Logging;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The options of a node. <see cref="UtpNode.BindAsync(UtpNodeOptions?, System.Threading.CancellationToken)"/> checks and copies them; later changes have no effect. A timeout is at least
/// 1 ms. One that may be infinite is switched off by <see cref="Timeout.InfiniteTimeSpan"/>.
/// </summary>
/// <example><code>
/// var options = new UtpNodeOptions
/// {
///     LocalEndPoint = new IPEndPoint(IPAddress.Any, 9000),
///     ConnectTimeout = TimeSpan.FromSeconds(5),
/// };
/// await using var node = await UtpNode.BindAsync(options);
/// </code></example>
public sealed partial class UtpNodeOptions
{
    private static readonly NodeOptions Core = NodeOptionsModule.standard;
    private static readonly StreamOptions CoreStream = Core.Bep29;

    /// <summary>Gets or sets the address and port to which the socket is bound.</summary>
    /// <value>The default is <c>[::]:0</c>: all addresses of this machine, IPv4 included, and a port that the system chooses. A node that
    /// is bound to an IPv4 address uses IPv4 only.</value>
    public IPEndPoint LocalEndPoint { get; set; } = new(IPAddress.IPv6Any, 0);

    /// <summary>Gets or sets the dialect of the streams that the node accepts, and of those that it opens unless
    /// <see cref="UtpConnectOptions.Dialect"/> names another one.</summary>
    /// <value>The default is <see cref="UtpDialect.Bep29"/>.</value>
    public UtpDialect Dialect { get; set; } = Core.Dialect.ToPublic();

    /// <summary>Gets or sets the maximum number of streams of the node, opened and accepted ones together.</summary>
    /// <value>The default is 16384. The range is 1 to 1048576.</value>
    public int MaxConnections { get; set; } = Core.MaxConnections;

    /// <summary>Gets or sets the maximum number of accepted streams from one address: an IPv4 address, or the first 64 bits of an IPv6
    /// address. Loopback addresses have no limit, and the peers of meetings do not count.</summary>
    /// <value>The default is 1024. The range is 1 to 1048576.</value>
    public int MaxConnectionsPerAddress { get; set; } = Core.MaxPerAddress;

    /// <summary>Gets or sets the number of bytes that the streams of the node hold together, at most: half of it for bytes that were
    /// received and not yet read, half for bytes that were written and not yet acknowledged. A stream may hold a quarter of what is left
    /// of each half, so a stream that reads what it receives gets its share even if all others do not.</summary>
    /// <value>The default is 1 GiB. The minimum is 1 MiB.</value>
    public long MemoryBudget { get; set; } = 2 * Core.ReceiveBudget;

    /// <summary>Gets or sets the maximum number of half-open streams: those whose opener has not yet proved that it receives at its
    /// address. If there are more, the node answers SYNs without keeping state (RFC 4987: SYN cookies), and such streams do not probe
    /// the path MTU.</summary>
    /// <value>The default is 256. The range is 1 to 1048576.</value>
    public int MaxHalfOpen { get; set; } = Core.MaxHalfOpen;

    /// <summary>Gets or sets the maximum number of bytes of a stream that are written and not yet acknowledged, at first. A write waits for
    /// room.</summary>
    /// <value>The default is 1 MiB. The range is 64 KiB to 1 GiB. A stream sends at most this much per round trip, unless the buffer grows
    /// (<see cref="MaxSendBufferSize"/>).</value>
    public int SendBufferSize { get; set; } = CoreStream.SendBuffer;

    /// <summary>Gets or sets what the send buffer of a stream grows to, if the peer is such a node, too: as long as writes wait for room, to
    /// twice what is in flight. It shrinks after everything was acknowledged. <see cref="MemoryBudget"/> limits all streams together.</summary>
    /// <value>The default is 32 MiB, which is 1 Gbit/s at a round trip of 130 ms. The range is 64 KiB to 1 GiB. With no more than
    /// <see cref="SendBufferSize"/>, or if that is below its default, the buffer does not grow.</value>
    public int MaxSendBufferSize { get; set; } = CoreStream.MaxSendBuffer;

    /// <summary>Gets or sets the maximum number of bytes of a stream that are received and not yet read, at first: the window that is
    /// advertised to the peer.</summary>
    /// <value>The default is 1 MiB. The range is 64 KiB to 1 GiB.</value>
    public int ReceiveBufferSize { get; set; } = CoreStream.ReceiveBuffer;

    /// <summary>Gets or sets what the receive window of a stream grows to, if the peer is such a node, too: as long as the application reads
    /// what arrives, to eight times what arrives in a round trip. <see cref="MemoryBudget"/> limits all streams together.</summary>
    /// <value>The default is 32 MiB. The range is 64 KiB to 1 GiB. With no more than <see cref="ReceiveBufferSize"/>, or if that is below its
    /// default, the window does not grow.</value>
    public int MaxReceiveBufferSize { get; set; } = CoreStream.MaxReceiveBuffer;

    /// <summary>Gets or sets the size of the largest datagram that streams of <see cref="Dialect"/> send, in bytes of UDP payload. The uTP
    /// header takes 20 of them.</summary>
    /// <value>The default is <see langword="null"/>: a stream begins with 1200 and searches for what the path carries, if the peer is such
    /// a node, too (path MTU discovery, RFC 8899); with <see cref="UtpDialect.Npm"/> the size is 1020, the npm package's <c>mtu</c> of
    /// 1000. The range of a size is 100 to 65507, and at most a quarter of either buffer. With a size there is no search, but the size is
    /// reduced if packets of that size are lost repeatedly.</value>
    public int? PacketSize { get; set; }

    /// <summary>Gets or sets the maximum number of packets that a stream of <see cref="Dialect"/> has in flight.</summary>
    /// <value>The default is <see langword="null"/>, which is 1000 (libutp holds up to 1024 packets out of order), 16360 if the peer is such
    /// a node, too, or 63 with <see cref="UtpDialect.Npm"/> (the npm package holds 64). The range is 1 to 1000.</value>
    public int? PacketWindow { get; set; }

    /// <summary>Gets or sets the time after which connecting fails with <see cref="UtpError.ConnectTimeout"/> if the peer does not
    /// answer.</summary>
    /// <value>The default is 10 s.</value>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Gets or sets the time after which a stream fails with <see cref="UtpError.IdleTimeout"/> if no packet of the peer was
    /// received. A peer without data to send sends keep-alives.</summary>
    /// <value>The default is 180 s. It may be infinite.</value>
    public TimeSpan IdleTimeout { get; set; } = Clock.ToTimeSpan(CoreStream.IdleTimeout);

    /// <summary>Gets or sets the time after which a stream fails with <see cref="UtpError.AcknowledgementTimeout"/> if it retransmits data and
    /// nothing is acknowledged.</summary>
    /// <value>The default is 45 s. It may be infinite.</value>
    public TimeSpan AcknowledgementTimeout { get; set; } = Clock.ToTimeSpan(CoreStream.GiveUpAfter);

    /// <summary>Gets or sets the time for which a disposed stream waits for the next acknowledgement of what was written, and then for the end
    /// of the peer's direction. Each acknowledgement of new data restarts it. When it has passed, the stream is reset: data that was not
    /// acknowledged is lost, and <see cref="UtpStream.WritesClosed"/> fails if there was any.</summary>
    /// <value>The default is 5 s. Zero resets a stream as soon as it is disposed. It may be infinite.</value>
    public TimeSpan LingerTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Gets or sets the time that <see cref="UtpNode.DisposeAsync"/> gives the streams to finish. A stream whose peer has
    /// acknowledged everything, but keeps its own direction open, is reset after a few round trips.</summary>
    /// <value>The default is 10 s. It may be zero or infinite.</value>
    public TimeSpan ShutdownTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Gets or sets the time after which a stream that has sent nothing sends a keep-alive, so that NATs keep its mapping.</summary>
    /// <value>The default is 25 s, because many NATs drop a mapping after 30 s. It may be infinite.</value>
    public TimeSpan KeepAliveInterval { get; set; } = Clock.ToTimeSpan(CoreStream.KeepAlive);

    /// <summary>Gets or sets a value that indicates whether a stream with another node of this library goes on over another path when its own
    /// is lost (RFC 9000, 9: connection migration): when a NAT forgets it, or when one of the two machines gets another address. Meanwhile
    /// <see cref="UtpStream.IsSearching"/> is true; the stream waits as long as it would for an acknowledgement
    /// (<see cref="AcknowledgementTimeout"/>), or for any packet (<see cref="IdleTimeout"/>). One of the two nodes must be at an address that the other
    /// one can reach. For the streams of a meeting <see cref="UtpPunchOptions.PathTimeout"/> counts, and both nodes may move.</summary>
    /// <value>The default is <see langword="true"/>. With <see langword="false"/> at one of the two nodes, their streams keep to their path.</value>
    /// <remarks>A second after a stream has opened, the two nodes agree on a key (ECDH, P-256), under which they tell each other from third
    /// parties later. It does not protect the bytes of the stream.</remarks>
    public bool AllowMigration { get; set; } = true;

    /// <summary>Gets or sets a value that indicates whether the node looks for the NAT64 of its network (RFC 6146) where the machine has no route to
    /// IPv4 addresses: it asks for the IPv6 addresses of the name <c>ipv4only.arpa</c> (RFC 7050), once and again when the network changes. This
    /// delays the first stream, meeting or datagram by a query, and by 5 s at most if no resolver answers. Public IPv4 addresses, of peers that are
    /// named and of those that are met, are reached through the NAT64; <see cref="UtpStream.RemoteEndPoint"/> and all results have the IPv4
    /// address. A host that answers the query in place of the resolver can direct these datagrams elsewhere, as with any other name.</summary>
    /// <value>The default is <see langword="true"/>. With <see langword="false"/>, and without <see cref="Nat64Prefix"/>, IPv4 addresses are not
    /// reached from such a network, but for names whose addresses a DNS64 has made.</value>
    public bool DiscoverNat64 { get; set; } = true;

    /// <summary>Gets or sets the prefix of the network's NAT64 (RFC 6052), which is then not looked for. It counts where the machine has no route
    /// to IPv4 addresses.</summary>
    /// <value>The default is <see langword="null"/>: <see cref="DiscoverNat64"/> decides. The length is 32, 40, 48, 56, 64 or 96, and bits 64 to 71
    /// are zero.</value>
    /// <example>
    /// <code>
    /// var options = new UtpNodeOptions { Nat64Prefix = IPNetwork.Parse("64:ff9b::/96") };
    /// </code>
    /// </example>
    public IPNetwork? Nat64Prefix { get; set; }

    /// <summary>Gets or sets the addresses of this machine that a peer may try with which the node punches, with the port of the node.</summary>
    /// <value>The default is <see langword="null"/>: the address to which the node is bound, or at most eight of those of the network interfaces that are
    /// up: those of the default route first, then others with a router, further ones, and tunnels; without a router, none of bridges and overlays
    /// unless there are no others. Of a given list the first eight are used, which must be of IPv4 or IPv6; with an empty one the peer learns none of
    /// them.</value>
    public IReadOnlyList<IPAddress>? HostAddresses { get; set; }

    /// <summary>Gets or sets the retransmission timeout before the first round trip was measured (RFC 6298, 2.1).</summary>
    /// <value>The default is 1 s.</value>
    public TimeSpan InitialRetransmitTimeout { get; set; } = Clock.ToTimeSpan(CoreStream.InitialRto);

    /// <summary>Gets or sets the minimum of the retransmission timeout.</summary>
    /// <value>The default is 500 ms, as in BEP 29.</value>
    public TimeSpan MinRetransmitTimeout { get; set; } = Clock.ToTimeSpan(CoreStream.MinRto);

    /// <summary>Gets or sets a value that indicates whether a packet that is not full is sent at once. Otherwise it waits until the
    /// previous one that was not full is acknowledged (Nagle's algorithm, RFC 9293, 3.7.4).</summary>
    /// <value>The default is <see langword="true"/>, as in Kestrel and HttpClient: a small message must not wait for a delayed
    /// acknowledgement. Data that is written faster than it is sent is joined into full packets in either case.</value>
    public bool NoDelay { get; set; } = CoreStream.NoDelay;

    /// <summary>Gets or sets how the streams of the node follow the rate of their path.</summary>
    /// <value>The default is <see cref="UtpCongestionControl.Bbr"/>. <see cref="UtpCongestionControl.Ledbat"/> yields to all other
    /// traffic.</value>
    public UtpCongestionControl CongestionControl { get; set; } = UtpCongestionControl.Bbr;

    /// <summary>Gets or sets the queueing delay that <see cref="UtpCongestionControl.Ledbat"/> aims at: other traffic waits as long in the
    /// queues of the path (draft-irtf-iccrg-ledbat-plus-plus). Less is politer; a target that is shorter than the noise of the path's delay
    /// costs throughput.</summary>
    /// <value>The default is 60 ms. It lies between 1 ms and 100 ms (RFC 6817, 2.4.2).</value>
    public TimeSpan TargetDelay { get; set; } = Clock.ToTimeSpan(CoreStream.TargetDelay);

    /// <summary>Gets or sets how the node uses its socket.</summary>
    /// <value>The default is <see cref="UtpSocketMode.Automatic"/>.</value>
    public UtpSocketMode SocketMode { get; set; } = UtpSocketMode.Automatic;

    /// <summary>Gets or sets what makes the transport of the node in place of a UDP socket, from <see cref="LocalEndPoint"/>. It is called once for each node,
    /// which disposes the transport.</summary>
    /// <value>The default is <see langword="null"/>: a UDP socket. With a factory, <see cref="SocketMode"/> and <see cref="DiscoverNat64"/> have no effect.</value>
    /// <example><code>
    /// var network = new UtpMemoryNetwork();
    /// var options = new UtpNodeOptions { TransportFactory = network.Bind };
    /// </code></example>
    public Func<IPEndPoint, UtpDatagramTransport>? TransportFactory { get; set; }

    /// <summary>Gets or sets the size of the socket's receive buffer, in bytes. The system may grant less:
    /// <see cref="UtpNodeStatistics.SocketReceiveBufferSize"/>.</summary>
    /// <value>The default is 4 MiB. The range is 1 byte to 1 GiB.</value>
    public int SocketReceiveBufferSize { get; set; } = 4 << 20;

    /// <summary>Gets or sets the size of the socket's send buffer, in bytes. The system may grant less:
    /// <see cref="UtpNodeStatistics.SocketSendBufferSize"/>.</summary>
    /// <value>The default is 4 MiB. The range is 1 byte to 1 GiB.</value>
    public int SocketSendBufferSize { get; set; } = 4 << 20;

    /// <summary>Gets or sets the differentiated services code point (DSCP, RFC 2474) of all that the node sends, by which networks may prefer or delay it. For
    /// background transfers with <see cref="UtpCongestionControl.Ledbat"/> it is 1, LE (RFC 8622).</summary>
    /// <value>The default is 0: best effort. The range is 0 to 63. Linux uses it for IPv4 and IPv6, other systems for IPv4, and Windows by a policy of the
    /// administrator only.</value>
    public int Dscp { get; set; }

    /// <summary>Gets or sets what the node records for <see cref="UtpNode.WriteTraceAsync"/> and <c>utp replay</c>.</summary>
    /// <value>The default is <see langword="null"/>: nothing is recorded.</value>
    public UtpTraceOptions? Trace { get; set; }

    /// <summary>Gets or sets where the node logs, in the category <c>UtpPunch.Net</c>: streams that fail, paths that change, punches, and
    /// callbacks of the application that throw. Loggers are called on the thread that serves the node, so they must not block.</summary>
    /// <value>The default is <see langword="null"/>: nothing is logged.</value>
    public ILoggerFactory? LoggerFactory { get; set; }

    /// <summary>Gets or sets what makes the meter <c>UtpPunch.Net</c> of the node, as the container of a host does. Nodes with the same factory share a meter, and
    /// its instruments are their sums; a listener tells the meters of several factories apart by <see cref="Meter.Scope"/>.</summary>
    /// <value>The default is <see langword="null"/>: the meter of the process. <c>AddUtpPunch</c> sets the host's factory.</value>
    public IMeterFactory? MeterFactory { get; set; }

    /// <summary>Copies the options, so that another node can differ in a few.</summary>
    /// <returns>New options with the same values.</returns>
    public UtpNodeOptions Clone() => (UtpNodeOptions)MemberwiseClone();

    /// <summary>Checks the options as <see cref="UtpNode.BindAsync(UtpNodeOptions?, System.Threading.CancellationToken)"/> does. No socket is bound.</summary>
    /// <exception cref="ArgumentException">An option is not valid. <see cref="ArgumentException.ParamName"/> is its name.</exception>
    public void Validate() => UtpNodeOptionsCheck.Freeze(this);
}
