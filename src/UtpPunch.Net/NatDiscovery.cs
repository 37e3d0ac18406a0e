using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How a NAT or firewall depends on who is written to (RFC 4787, sections 4.1 and 5).</summary>
public enum NatDependence
{
    /// <summary>It could not be found out.</summary>
    Unknown = 0,

    /// <summary>There is no NAT: the public address is the local one. Never said of filters.</summary>
    None = 1,

    /// <summary>On nobody: all see one port, or anybody may send to it.</summary>
    Independent = 2,

    /// <summary>On the address.</summary>
    Address = 3,

    /// <summary>On the address and the port.</summary>
    AddressAndPort = 4,
}

/// <summary>What STUN servers have seen of a node.</summary>
/// <param name="Server">The server that answered.</param>
/// <param name="MappedEndPoint">Where it sees the node.</param>
/// <param name="Mapping">On whom the node's public port depends. With two servers that have one address each,
/// <see cref="NatDependence.AddressAndPort"/> stands for both kinds of dependence.</param>
/// <param name="Filtering">Who may send to it. Only servers with two addresses can tell.</param>
/// <param name="RoundTrip">To the server; null when it was not measured.</param>
public sealed record NatDiscovery(
    IPEndPoint Server, IPEndPoint MappedEndPoint, NatDependence Mapping, NatDependence Filtering, TimeSpan? RoundTrip)
{
    internal static NatDiscovery Of(StunReport report) => new(
        Addresses.ToIPEndPoint(report.Server),
        Addresses.ToIPEndPoint(report.Mapped),
        report.Mapping.Tag switch
        {
            MappingBehaviour.Tags.NoNat => NatDependence.None,
            MappingBehaviour.Tags.EndpointIndependent => NatDependence.Independent,
            MappingBehaviour.Tags.AddressDependent => NatDependence.Address,
            MappingBehaviour.Tags.AddressAndPortDependent => NatDependence.AddressAndPort,
            _ => NatDependence.Unknown,
        },
        report.Filtering.Tag switch
        {
            FilteringBehaviour.Tags.EndpointIndependent => NatDependence.Independent,
            FilteringBehaviour.Tags.AddressDependent => NatDependence.Address,
            FilteringBehaviour.Tags.AddressAndPortDependent => NatDependence.AddressAndPort,
            _ => NatDependence.Unknown,
        },
        report.RoundTrip.IsNone ? null : Clock.ToTimeSpan(report.RoundTrip.Value));
}
