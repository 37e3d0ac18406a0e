using System.Diagnostics.CodeAnalysis;
using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The result of a punch, with what was observed.</summary>
public sealed class UtpPunchResult
{
    private readonly PunchReport _report;

    internal UtpPunchResult(PunchReport report, UtpPunchedPath? path)
    {
        _report = report;
        Path = path;
        Explanation = PunchText.Explain(this);
    }

    /// <summary>Gets a value that indicates whether a path was found.</summary>
    [MemberNotNullWhen(true, nameof(Path))]
    public bool Success => Path is not null;

    /// <summary>Gets the path to the peer, over which <see cref="UtpPunchedPath.OpenAsync"/> opens the stream; <see langword="null"/> if none was
    /// found.</summary>
    public UtpPunchedPath? Path { get; }

    /// <summary>Gets the outcome, or the stage at which the punch has failed.</summary>
    public UtpPunchStage Stage => (UtpPunchStage)_report.Stage.Tag;

    /// <summary>Gets the address of this node as the rendezvous server, or a STUN server, sees it; <see langword="null"/> without a
    /// server.</summary>
    public IPEndPoint? ObservedEndPoint => Known(_report.Observed);

    /// <summary>Gets the address of this node as the peer sees it; <see langword="null"/> if the peer did not tell.</summary>
    public IPEndPoint? EndPointSeenByPeer => _report.SeenAs.IsNone ? null : Addresses.ToIPEndPoint(_report.SeenAs.Value);

    /// <summary>Gets the address of the peer as the rendezvous server, or a STUN server of the peer, sees it; <see langword="null"/> without a
    /// server.</summary>
    public IPEndPoint? PeerObservedEndPoint => _report.PeerObserved.IsNone ? null : Known(_report.PeerObserved.Value);

    /// <summary>Gets how the NAT of this side assigns ports.</summary>
    public UtpNatPortAssignment PortAssignment => ToPublic(_report.Mapping);

    /// <summary>Gets how the NAT of the peer assigns ports.</summary>
    public UtpNatPortAssignment PeerPortAssignment => ToPublic(_report.PeerMapping);

    /// <summary>Gets the number of packets that were sent for this punch.</summary>
    public int ProbesSent => _report.Sent;

    /// <summary>Gets the number of authentic packets of the peer that have arrived.</summary>
    public int ProbesHeard => _report.Heard;

    /// <summary>Gets the time from the introduction to the end.</summary>
    public TimeSpan Elapsed => Clock.ToTimeSpan(_report.Elapsed);

    /// <summary>Gets a text that tells what was observed, why the punch has failed, and what may help.</summary>
    public string Explanation { get; }

    /// <summary>Gets the text of <see cref="Explanation"/>.</summary>
    /// <returns><see cref="Explanation"/>.</returns>
    public override string ToString() => Explanation;

    internal static UtpNatPortAssignment ToPublic(PortPrediction mapping) =>
        mapping.IsUnknown ? UtpNatPortAssignment.Unknown
        : mapping.IsEndpointIndependent ? UtpNatPortAssignment.EndpointIndependent
        : mapping.step != 0 ? UtpNatPortAssignment.Sequential
        : UtpNatPortAssignment.Random;

    private static IPEndPoint? Known(Endpoint endpoint) => endpoint.Port == 0 ? null : Addresses.ToIPEndPoint(endpoint);
}
