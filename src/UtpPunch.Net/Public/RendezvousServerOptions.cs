using System.Net;

namespace UtpPunch;

/// <summary>What a rendezvous server is to do.</summary>
public sealed class RendezvousServerOptions
{
    /// <summary>
    /// The sockets. Clients are told the first; it is they who compare how all of them see a client, and so find out what its NAT does. Two
    /// ports on one address are enough for most; a second address tells more.
    /// </summary>
    /// <value>Two of any free ports on all addresses by default; one to four.</value>
    public IReadOnlyList<IPEndPoint> LocalEndPoints { get; set; } = [new(IPAddress.IPv6Any, 0), new(IPAddress.IPv6Any, 0)];

    /// <summary>Peers at once at most. One takes about a kilobyte.</summary>
    /// <value>65536 by default.</value>
    public int MaxRegistrations { get; set; } = 65536;

    /// <summary>Peers at once at most from one IPv4 address, or one /64 of IPv6.</summary>
    /// <value>512 by default: a company may sit behind one address.</value>
    public int MaxRegistrationsPerSource { get; set; } = 512;

    /// <summary>Datagrams a second from one IPv4 address, or one /64 of IPv6; twice as many at once. More are not looked at.</summary>
    /// <value>100 by default.</value>
    public int DatagramsPerSecondPerSource { get; set; } = 100;

    /// <summary>
    /// Serves the npm package's example clients as well: <c>{"name":"SERVER"}</c> and <c>{"name":"CLIENT"}</c>. That protocol proves no
    /// address, and its answers are larger than its questions.
    /// </summary>
    /// <value>False by default.</value>
    public bool Legacy { get; set; }

    /// <summary>Answers STUN on the same sockets as well (RFC 8489). With four of them, which are the two ports of one address and then
    /// those of another one, clients learn all about their NAT (RFC 5780). Answers are a little larger than questions.</summary>
    /// <value>False by default.</value>
    public bool Stun { get; set; }
}
