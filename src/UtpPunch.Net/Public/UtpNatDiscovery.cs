using System.Net;
using Microsoft.FSharp.Core;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>What STUN servers have found out about the NAT of a node (RFC 8489, RFC 5780).</summary>
public sealed class UtpNatDiscovery
{
    private UtpNatDiscovery(StunReport report)
    {
        Server = Addresses.ToIPEndPoint(report.Server);
        MappedEndPoint = Addresses.ToIPEndPoint(report.Mapped);
        Mapping = report.IsDirect ? UtpNatBehavior.NoNat : Of(report.Mapping);
        Filtering = Of(report.Filtering);
        RoundTripTime = report.RoundTrip.IsNone ? null : Clock.ToTimeSpan(report.RoundTrip.Value);
    }

    /// <summary>Gets the server that has answered.</summary>
    public IPEndPoint Server { get; }

    /// <summary>Gets the address of the node as that server sees it.</summary>
    public IPEndPoint MappedEndPoint { get; }

    /// <summary>Gets on what the public port of the node depends. If two servers with one address each were compared,
    /// <see cref="UtpNatBehavior.AddressAndPortDependent"/> includes <see cref="UtpNatBehavior.AddressDependent"/>.</summary>
    public UtpNatBehavior Mapping { get; }

    /// <summary>Gets which addresses may send to the node. Only a server with two addresses can find it out.</summary>
    public UtpNatBehavior Filtering { get; }

    /// <summary>Gets the round-trip time to the server; <see langword="null"/> if it was not measured.</summary>
    public TimeSpan? RoundTripTime { get; }

    internal static UtpNatDiscovery Of(StunReport report) => new(report);

    private static UtpNatBehavior Of(FSharpValueOption<NatBehavior> found) =>
        found.IsNone ? UtpNatBehavior.Unknown : UtpNatBehavior.EndpointIndependent + found.Value.Tag;
}
