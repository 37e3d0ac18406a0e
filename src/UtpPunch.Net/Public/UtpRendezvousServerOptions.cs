using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.Logging;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The options of a rendezvous server. A source is one IPv4 address, or one /64 prefix of IPv6. A /56 prefix may use four times as
/// much as a /64 prefix, a /48 prefix sixteen times.</summary>
public sealed class UtpRendezvousServerOptions
{
    /// <summary>The port of the first socket of a rendezvous server: 42000.</summary>
    public const int DefaultPort = 42000;

    private static readonly RendezvousOptions Core = RendezvousModule.standard;

    /// <summary>
    /// Gets or sets the addresses of the sockets. Clients begin with the first one. They compare how all sockets see them, and so find out
    /// what their NAT does. Two ports of one address are enough for most NATs; a second address tells more.
    /// </summary>
    /// <value>The default is <c>[::]:42000</c>, <c>[::]:42001</c>: two ports on all addresses, from <see cref="DefaultPort"/> on, as with <c>utp rendezvous</c>. With
    /// port 0 the system chooses one. There are one to four.</value>
    public IReadOnlyList<IPEndPoint> LocalEndPoints { get; set; } = [new(IPAddress.IPv6Any, DefaultPort), new(IPAddress.IPv6Any, DefaultPort + 1)];

    /// <summary>Gets or sets how the server uses its sockets.</summary>
    /// <value>The default is <see cref="UtpSocketMode.Automatic"/>.</value>
    public UtpSocketMode SocketMode { get; set; } = UtpSocketMode.Automatic;

    /// <summary>Gets or sets what makes the transports of the server in place of UDP sockets, one for each of <see cref="LocalEndPoints"/>. The server disposes
    /// them.</summary>
    /// <value>The default is <see langword="null"/>: UDP sockets. With a factory, <see cref="SocketMode"/> has no effect.</value>
    public Func<IPEndPoint, UtpDatagramTransport>? TransportFactory { get; set; }

    /// <summary>Gets or sets the maximum number of peers that are registered at the same time. Each takes about 1 kB.</summary>
    /// <value>The default is 65536.</value>
    public int MaxRegistrations { get; set; } = Core.MaxRegistrations;

    /// <summary>Gets or sets the maximum number of peers of one source that are registered at the same time.</summary>
    /// <value>The default is 512, because many peers may share the address of a company or a carrier.</value>
    public int MaxRegistrationsPerSource { get; set; } = Core.MaxPerSource;

    /// <summary>Gets or sets the maximum number of peers that stay in one room at the same time, and of those that wait for one of them. A further
    /// one fails with <see cref="UtpError.RoomFull"/>.</summary>
    /// <value>The default is 10000.</value>
    public int MaxRegistrationsPerRoom { get; set; } = Core.MaxPerRoom;

    /// <summary>Gets or sets the maximum number of datagrams per second from one source that has proved its address, with bursts of twice as
    /// many. Further ones are dropped. Other datagrams, whose source may be forged, have a limit of their own.</summary>
    /// <value>The default is 500: every client sends one every 1.5 s while it waits, and many may share an address.</value>
    public int DatagramsPerSecondPerSource { get; set; } = Core.RatePerSource;

    /// <summary>
    /// Gets or sets a value that indicates whether the server also answers the example clients of the npm package, which send
    /// <c>{"name":"SERVER"}</c> and <c>{"name":"CLIENT"}</c>. That protocol does not verify addresses, and its answers are larger than its
    /// questions.
    /// </summary>
    /// <value>The default is <see langword="false"/>.</value>
    public bool EnableNpm { get; set; }

    /// <summary>Gets or sets a value that indicates whether the sockets also answer STUN (RFC 8489). If there are four of them, two ports of
    /// one address followed by the same ports of another address, clients can find out all about their NAT (RFC 5780). Answers are a little
    /// larger than questions.</summary>
    /// <value>The default is <see langword="false"/>.</value>
    public bool EnableStun { get; set; }

    /// <summary>Gets or sets where the server logs, in the category <c>UtpPunch.Net</c>: that it begins and ends, that it has failed, and, once a minute at most,
    /// what it has refused. The messages name no room and no client. Loggers are called on the thread that serves the sockets, so they must not block.</summary>
    /// <value>The default is <see langword="null"/>: nothing is logged.</value>
    public ILoggerFactory? LoggerFactory { get; set; }

    /// <summary>Gets or sets what makes the meter <c>UtpPunch.Net</c> of the server, in which its instruments <c>utp.rendezvous.*</c> are. Servers with the same
    /// factory share a meter, and the instruments are their sums.</summary>
    /// <value>The default is <see langword="null"/>: the meter of the process.</value>
    public IMeterFactory? MeterFactory { get; set; }
}
