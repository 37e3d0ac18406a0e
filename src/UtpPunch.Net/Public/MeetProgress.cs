using System.Net;

namespace UtpPunch;

/// <summary>How far a meeting has come.</summary>
public sealed class MeetProgress
{
    internal MeetProgress(IPEndPoint? observed, NatPortAssignment mapping, IPEndPoint? peer)
    {
        ObservedEndPoint = observed;
        Mapping = mapping;
        PeerEndPoint = peer;
    }

    /// <summary>Under which address the rendezvous server sees this node; null when the peer came before the server had said it.</summary>
    public IPEndPoint? ObservedEndPoint { get; }

    /// <summary>What the NAT of this side does.</summary>
    public NatPortAssignment Mapping { get; }

    /// <summary>Under which address the server sees the peer; null until there is one.</summary>
    public IPEndPoint? PeerEndPoint { get; }
}
