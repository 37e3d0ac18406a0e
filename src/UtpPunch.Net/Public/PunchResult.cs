using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The outcome of a punch, or the stage at which it has failed.</summary>
public enum PunchStage
{
    /// <summary>There is a path.</summary>
    Open = 0,

    /// <summary>The rendezvous server did not answer.</summary>
    ServerSilent = 1,

    /// <summary>The rendezvous server has as many registrations as it may have.</summary>
    ServerFull = 2,

    /// <summary>No peer entered the room in time.</summary>
    NoPeer = 3,

    /// <summary>The peer was introduced, but none of its packets arrived.</summary>
    NothingHeard = 4,

    /// <summary>Packets of the peer arrived, but none of them acknowledged ours.</summary>
    NotHeard = 5,

    /// <summary>A path was found, but the peers did not agree on it in time.</summary>
    NotAgreed = 6,

    /// <summary>The peer had already given up.</summary>
    PeerGaveUp = 7,

    /// <summary>The punch was cancelled on this side, or the node has more than four thousand punches at the same time.</summary>
    Cancelled = 8,

    /// <summary>No peer with an authentic offer entered the room in time: others did not know the secret, or have another version.</summary>
    Rejected = 9,

    /// <summary>The room has as many registrations as the rendezvous server lets it have.</summary>
    RoomFull = 10,
}

/// <summary>How a path was found.</summary>
public enum PunchPath
{
    /// <summary>A local address of the peer: both are in the same network, or there is no NAT.</summary>
    Host = 0,

    /// <summary>The address of the peer as the rendezvous server, or a STUN server, sees it.</summary>
    Observed = 1,

    /// <summary>A port that was predicted for the NAT of the peer.</summary>
    Predicted = 2,

    /// <summary>The source address of the peer's packets.</summary>
    Reflexive = 3,

    /// <summary>A port that birthday probing has found.</summary>
    Birthday = 4,

    /// <summary>A port that the router of the peer has mapped to it (<see cref="UtpMeetOptions.MapPort"/>).</summary>
    Mapped = 5,
}

/// <summary>How a NAT assigns public ports to one local socket, as two sockets of a rendezvous server see it (RFC 4787, 4.1 and 4.2).</summary>
public enum NatPortAssignment
{
    /// <summary>Unknown, because the rendezvous server has one socket only.</summary>
    Unknown = 0,

    /// <summary>The same port for all destinations, or no NAT.</summary>
    EndpointIndependent = 1,

    /// <summary>Another port for each destination, in a predictable order.</summary>
    Sequential = 2,

    /// <summary>Another port for each destination, in no order.</summary>
    Random = 3,
}

/// <summary>The result of a punch, with what was observed.</summary>
public sealed class PunchResult
{
    private readonly PunchReport _report;

    internal PunchResult(PunchReport report, Task<UtpStream>? opened)
    {
        _report = report;
        Opened = opened;
        Explanation = PunchText.Explain(this);
    }

    /// <summary>Gets whether a path was found.</summary>
    public bool Success => Stage == PunchStage.Open;

    /// <summary>Gets the outcome, or the stage at which the punch has failed.</summary>
    public PunchStage Stage => (PunchStage)_report.Stage.Tag;

    /// <summary>Gets the address of the peer; <see langword="null"/> if no path was found.</summary>
    public IPEndPoint? RemoteEndPoint => Success ? Addresses.ToIPEndPoint(_report.Remote) : null;

    /// <summary>Gets how the path was found. It has no meaning without a path.</summary>
    public PunchPath Path => (PunchPath)_report.Kind.Tag;

    /// <summary>Gets the round-trip time of the path; <see langword="null"/> if it was not measured.</summary>
    public TimeSpan? RoundTrip => _report.RoundTrip == 0 ? null : Clock.ToTimeSpan(_report.RoundTrip);

    /// <summary>Gets the address of this node as the rendezvous server, or a STUN server, sees it; <see langword="null"/> without a
    /// server.</summary>
    public IPEndPoint? ObservedEndPoint => Known(_report.Observed);

    /// <summary>Gets the address of this node as the peer sees it; <see langword="null"/> if the peer did not tell.</summary>
    public IPEndPoint? SeenAs => _report.SeenAs.IsNone ? null : Addresses.ToIPEndPoint(_report.SeenAs.Value);

    /// <summary>Gets the address of the peer as the rendezvous server, or a STUN server of the peer, sees it; <see langword="null"/> without a
    /// server.</summary>
    public IPEndPoint? PeerObservedEndPoint => _report.PeerObserved.IsNone ? null : Known(_report.PeerObserved.Value);

    /// <summary>Gets how the NAT of this side assigns ports.</summary>
    public NatPortAssignment Mapping => ToMapping(_report.Mapping);

    /// <summary>Gets how the NAT of the peer assigns ports.</summary>
    public NatPortAssignment PeerMapping => ToMapping(_report.PeerMapping);

    /// <summary>Gets the number of packets that were sent for this punch.</summary>
    public int ProbesSent => _report.Sent;

    /// <summary>Gets the number of authentic packets of the peer that have arrived.</summary>
    public int ProbesHeard => _report.Heard;

    /// <summary>Gets the time from the introduction to the end.</summary>
    public TimeSpan Elapsed => Clock.ToTimeSpan(_report.Elapsed);

    /// <summary>Gets a text that tells what was observed, why the punch has failed, and what may help.</summary>
    public string Explanation { get; }

    internal Endpoint Remote => _report.Remote;

    /// <summary>The stream that the peer opens; <see langword="null"/> if this side has to open it.</summary>
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
