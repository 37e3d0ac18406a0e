using System.Net;

namespace UtpPunch;

/// <summary>The progress of a meeting.</summary>
public sealed class MeetProgress
{
    internal MeetProgress(IPEndPoint? observed, NatPortAssignment mapping, IPEndPoint? peer)
    {
        ObservedEndPoint = observed;
        Mapping = mapping;
        PeerEndPoint = peer;
    }

    /// <summary>Gets the address of this node as the rendezvous server sees it; <see langword="null"/> if a peer came before the server had
    /// told it.</summary>
    public IPEndPoint? ObservedEndPoint { get; }

    /// <summary>Gets how the NAT of this side assigns ports.</summary>
    public NatPortAssignment Mapping { get; }

    /// <summary>Gets the address of the peer as the server sees it; <see langword="null"/> until there is a peer.</summary>
    public IPEndPoint? PeerEndPoint { get; }
}
