using System.Net;
using Microsoft.FSharp.Core;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How much of the remote endpoint a NAT's mapping, or a NAT's or firewall's filter, depends on (RFC 4787, sections 4.1 and 5).</summary>
public enum NatBehavior
{
    /// <summary>It could not be determined.</summary>
    Unknown = 0,

    /// <summary>There is no NAT: the public address is the local one. It does not occur for filters.</summary>
    NoNat = 1,

    /// <summary>A mapping that is the same for all remote endpoints, or a filter that lets all of them pass.</summary>
    EndpointIndependent = 2,

    /// <summary>It depends on the remote address.</summary>
    AddressDependent = 3,

    /// <summary>It depends on the remote address and port.</summary>
    AddressAndPortDependent = 4,
}

/// <summary>What STUN servers have found out about the NAT of a node (RFC 8489, RFC 5780).</summary>
/// <param name="Server">The server that has answered.</param>
/// <param name="MappedEndPoint">The address of the node as that server sees it.</param>
/// <param name="Mapping">On what the public port of the node depends. If two servers with one address each were compared,
/// <see cref="NatBehavior.AddressAndPortDependent"/> includes <see cref="NatBehavior.AddressDependent"/>.</param>
/// <param name="Filtering">Which addresses may send to the node. Only a server with two addresses can find it out.</param>
/// <param name="RoundTrip">The round-trip time to the server; <see langword="null"/> if it was not measured.</param>
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
