using System.Net;
using Microsoft.FSharp.Core;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Describes why a port is not mapped.</summary>
internal static class MappingText
{
    public static Failure NoGateway() => new(
        UtpError.GatewayNotFound, "There is no gateway: this machine has no default route with a router, or the system does not tell it.");

    public static Failure Of(MapperFailure failure, IPEndPoint gateway) => new(
        failure switch
        {
            _ when failure.IsNoAnswer || failure.IsUnusable => UtpError.GatewaySilent,
            MapperFailure.Refused => UtpError.PortMappingRefused,
            _ when failure.IsNetworkChanged => UtpError.GatewayNotFound,
            _ => UtpError.DoubleNat,
        },
        Explain(failure, gateway),
        gateway);

    public static string Explain(MapperFailure failure, IPEndPoint gateway) => failure switch
    {
        MapperFailure.NoAnswer none =>
            $"The gateway {gateway.Address} did not answer in {Failure.InWords(Clock.ToTimeSpan(none.after))}, by PCP, NAT-PMP or UPnP. Routers"
            + " often have a switch for it, which may be off.",
        MapperFailure.Refused refused =>
            $"The gateway {gateway.Address} refuses the mapping, by {NameOf(refused.protocol)} with {refused.code} ({refused.name}).",
        MapperFailure.NoExternalAddress none =>
            $"The gateway {gateway.Address} has no outside address ({NameOf(none.protocol)}): it is not connected, or its provider's NAT is.",
        _ when failure.IsAddressMismatch =>
            $"The gateway {gateway.Address} sees this machine at another address (PCP's ADDRESS_MISMATCH): there is a NAT between the two.",
        _ when failure.IsNetworkChanged => "The addresses of this machine have changed.",
        _ => $"A UPnP device answered for the gateway {gateway.Address}, but has no service that maps ports, or its answers are not valid.",
    };

    /// <summary>The core's name of a protocol.</summary>
    public static FSharpValueOption<MapperProtocol> Of(UtpPortMappingProtocol? protocol) => protocol switch
    {
        UtpPortMappingProtocol.Pcp => FSharpValueOption<MapperProtocol>.Some(MapperProtocol.Pcp),
        UtpPortMappingProtocol.NatPmp => FSharpValueOption<MapperProtocol>.Some(MapperProtocol.NatPmp),
        UtpPortMappingProtocol.Upnp => FSharpValueOption<MapperProtocol>.Some(MapperProtocol.Upnp),
        _ => FSharpValueOption<MapperProtocol>.None,
    };

    private static string NameOf(MapperProtocol protocol) => protocol.IsPcp ? "PCP" : protocol.IsNatPmp ? "NAT-PMP" : "UPnP";
}
