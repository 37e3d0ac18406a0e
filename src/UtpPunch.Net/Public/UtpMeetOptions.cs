using System.Net;

namespace UtpPunch;

/// <summary>How two peers meet at a rendezvous, and how they punch.</summary>
public sealed class UtpMeetOptions
{
    /// <summary>What only the two peers know. The server never sees it; whoever does not know it can neither join the room, nor read the
    /// peers' addresses in what passes through the server, nor take part in the punch. It neither encrypts nor authenticates the streams that
    /// follow.</summary>
    /// <value>Null by default: then the name of the room is all that one has to know.</value>
    public string? Secret { get; set; }

    /// <summary>How long to wait until a peer comes.</summary>
    /// <value>A minute by default; <see cref="Timeout.InfiniteTimeSpan"/> is as long as it takes.</value>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>How long the punch may take from the introduction on.</summary>
    /// <value>Ten seconds by default; nearly all that work do so in less than two.</value>
    public TimeSpan PunchTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Lets the punch open 256 sockets, and send 2048 packets to drawn ports, when one side's NAT takes unforeseeable ports and nothing
    /// else can work. Both sides have to allow it.
    /// </summary>
    /// <value>False by default: some routers have little room for so many mappings.</value>
    public bool Birthday { get; set; }

    /// <summary>How many hops the first packets take: past the NATs of this side, and not as far as the peer's.</summary>
    /// <value>4 by default, 1 to 255.</value>
    public int PrimingHops { get; set; } = 4;

    /// <summary>The addresses of this machine that the peer may try, with the node's port.</summary>
    /// <value>Null by default: those of all network interfaces that are up, or the one that the node is bound to.</value>
    public IReadOnlyList<IPAddress>? HostAddresses { get; set; }
}
