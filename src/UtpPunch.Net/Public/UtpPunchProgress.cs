using System.Net;

namespace UtpPunch;

/// <summary>The progress of a punch with a peer that is met at a rendezvous server.</summary>
public sealed class UtpPunchProgress
{
    internal UtpPunchProgress(IPEndPoint? observed, UtpNatPortAssignment assignment, IPEndPoint? peer)
    {
        ObservedEndPoint = observed;
        PortAssignment = assignment;
        PeerEndPoint = peer;
    }

    /// <summary>Gets the address of this node as the rendezvous server sees it; <see langword="null"/> if a peer came before the server had
    /// told it.</summary>
    public IPEndPoint? ObservedEndPoint { get; }

    /// <summary>Gets how the NAT of this side assigns ports.</summary>
    public UtpNatPortAssignment PortAssignment { get; }

    /// <summary>Gets the address of the peer as the server sees it; <see langword="null"/> until there is a peer.</summary>
    public IPEndPoint? PeerEndPoint { get; }
}
