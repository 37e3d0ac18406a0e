using System.Net;
using Microsoft.FSharp.Core;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How much of the remote endpoint a NAT's mapping, or a NAT's or firewall's filter, depends on (RFC 4787, sections 4.1 and 5).</summary>
public enum NatBehavior
{
    /// <summary>It could not be found out.</summary>
    Unknown = 0,

    /// <summary>There is no NAT: the public address is the local one. Never said of filters.</summary>
    NoNat = 1,

    /// <summary>All remote endpoints see one port, or any of them may send to it.</summary>
    EndpointIndependent = 2,

    /// <summary>It depends on the remote address.</summary>
    AddressDependent = 3,

    /// <summary>It depends on the remote address and port.</summary>
    AddressAndPortDependent = 4,
}

/// <summary>What STUN servers have seen of a node.</summary>
/// <param name="Server">The server that answered.</param>
/// <param name="MappedEndPoint">Where it sees the node.</param>
/// <param name="Mapping">On whom the node's public port depends. With two servers that have one address each,
/// <see cref="NatBehavior.AddressAndPortDependent"/> stands for both kinds of dependence.</param>
/// <param name="Filtering">Who may send to it. Only servers with two addresses can tell.</param>
/// <param name="RoundTrip">To the server; null when it was not measured.</param>
public sealed record NatDiscovery(
    IPEndPoint Server, IPEndPoint MappedEndPoint, NatBehavior Mapping, NatBehavior Filtering, TimeSpan? RoundTrip)
{
    internal static NatDiscovery Of(StunReport report) => new(
        Addresses.ToIPEndPoint(report.Server),
        Addresses.ToIPEndPoint(report.Mapped),
        report.IsDirect ? NatBehavior.NoNat : Of(report.Mapping),
        Of(report.Filtering),
        report.RoundTrip.IsNone ? null : Clock.ToTimeSpan(report.RoundTrip.Value));

    private static NatBehavior Of(FSharpValueOption<Protocol.NatBehavior> found) =>
        found.IsNone ? NatBehavior.Unknown : NatBehavior.EndpointIndependent + found.Value.Tag;
}
