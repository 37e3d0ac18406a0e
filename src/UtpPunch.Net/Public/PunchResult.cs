using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How far a punch came.</summary>
public enum PunchStage
{
    /// <summary>There is a path.</summary>
    Open = 0,

    /// <summary>The rendezvous server never answered.</summary>
    ServerSilent = 1,

    /// <summary>The rendezvous server has no room for one more.</summary>
    ServerFull = 2,

    /// <summary>Nobody else came to the room in time.</summary>
    NoPeer = 3,

    /// <summary>The peer was introduced, and not one of its packets arrived.</summary>
    NothingHeard = 4,

    /// <summary>Packets of the peer arrived, and it never said that it hears ours.</summary>
    NotHeard = 5,

    /// <summary>There was a path, and the two did not agree on it in time.</summary>
    NotAgreed = 6,

    /// <summary>The peer had given up before.</summary>
    PeerGaveUp = 7,

    /// <summary>It was called off here, or the node has more than a thousand punches under way.</summary>
    Cancelled = 8,

    /// <summary>What the peer said through the rendezvous server was damaged, or of another version.</summary>
    Rejected = 9,
}

/// <summary>How a path was found.</summary>
public enum PunchPath
{
    /// <summary>The peer's own address: the same network, or no NAT.</summary>
    Host = 0,

    /// <summary>The address under which the rendezvous server sees the peer.</summary>
    Observed = 1,

    /// <summary>A port that the peer's NAT was expected to take next.</summary>
    Predicted = 2,

    /// <summary>The address from which the peer's packets came.</summary>
    Reflexive = 3,

    /// <summary>One of many ports that were tried.</summary>
    Birthday = 4,
}

/// <summary>Which public ports a NAT assigns to one local socket, as two sockets of a rendezvous server see it (RFC 4787, sections 4.1 and 4.2).</summary>
public enum NatPortAssignment
{
    /// <summary>Nobody could compare: the rendezvous server has one socket only.</summary>
    Unknown = 0,

    /// <summary>All destinations see the same port, or there is no NAT.</summary>
    EndpointIndependent = 1,

    /// <summary>Each destination sees another port, the next one in order.</summary>
    Sequential = 2,

    /// <summary>Each destination sees another port, in no order.</summary>
    Random = 3,
}

/// <summary>What came of a punch, and what was seen on the way.</summary>
public sealed class PunchResult
{
    private readonly PunchReport _report;

    internal PunchResult(PunchReport report, Task<UtpStream>? opened)
    {
        _report = report;
        Opened = opened;
        Explanation = PunchText.Explain(this);
    }

    /// <summary>Whether there is a path.</summary>
    public bool Success => Stage == PunchStage.Open;

    /// <summary>How far it came.</summary>
    public PunchStage Stage => (PunchStage)_report.Stage.Tag;

    /// <summary>The peer's end of the path; null when there is none.</summary>
    public IPEndPoint? RemoteEndPoint => Success ? Addresses.ToIPEndPoint(_report.Remote) : null;

    /// <summary>How the path was found.</summary>
    public PunchPath Path => (PunchPath)_report.Kind.Tag;

    /// <summary>Of the path; null when it was not measured.</summary>
    public TimeSpan? RoundTrip => _report.RoundTrip == 0 ? null : Clock.ToTimeSpan(_report.RoundTrip);

    /// <summary>Under which address the rendezvous server sees this node; null when there was none.</summary>
    public IPEndPoint? ObservedEndPoint => Known(_report.Observed);

    /// <summary>Under which address the peer sees this node, if it said so.</summary>
    public IPEndPoint? SeenAs => _report.SeenAs.IsNone ? null : Addresses.ToIPEndPoint(_report.SeenAs.Value);

    /// <summary>Under which address the rendezvous server sees the peer; null when there was none.</summary>
    public IPEndPoint? PeerObservedEndPoint => _report.PeerObserved.IsNone ? null : Known(_report.PeerObserved.Value);

    /// <summary>What the NAT of this side does.</summary>
    public NatPortAssignment Mapping => ToMapping(_report.Mapping);

    /// <summary>What the NAT of the peer does.</summary>
    public NatPortAssignment PeerMapping => ToMapping(_report.PeerMapping);

    /// <summary>Packets that were sent for this punch.</summary>
    public int ProbesSent => _report.Sent;

    /// <summary>Packets of the peer that arrived, and were its own.</summary>
    public int ProbesHeard => _report.Heard;

    /// <summary>From the introduction on.</summary>
    public TimeSpan Elapsed => Clock.ToTimeSpan(_report.Elapsed);

    /// <summary>All of this in words: what was seen, why it failed, and what may help.</summary>
    public string Explanation { get; }

    internal Endpoint Remote => _report.Remote;

    /// <summary>The stream that the peer opens; null when it is for this side to open it.</summary>
    internal Task<UtpStream>? Opened { get; }

    /// <inheritdoc/>
    public override string ToString() => Explanation;

    private static IPEndPoint? Known(Endpoint endpoint) => endpoint.Port == 0 ? null : Addresses.ToIPEndPoint(endpoint);

    internal static NatPortAssignment ToMapping(PortPrediction mapping) =>
        mapping.IsUnknown ? NatPortAssignment.Unknown
        : mapping.IsEndpointIndependent ? NatPortAssignment.EndpointIndependent
        : mapping.step != 0 ? NatPortAssignment.Sequential
        : NatPortAssignment.Random;
}
