using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>The router through which the default route of this machine leads.</summary>
/// <param name="Address">Its address in the network of this machine.</param>
/// <param name="Own">The address of this machine in that network, which the router maps.</param>
/// <param name="PrefixLength">The length of the prefix of that network.</param>
internal sealed record Gateway(IPAddress Address, IPAddress Own, int PrefixLength)
{
    // Two root name servers. Nothing is sent there: to connect a UDP socket makes the system choose a route.
    private static readonly IPEndPoint s_far = new(IPAddress.Parse("198.41.0.4"), 53);
    private static readonly IPEndPoint s_farIPv6 = new(IPAddress.Parse("2001:503:ba3e::2:30"), 53);

    /// <summary>Finds the gateway of a socket.</summary>
    /// <param name="family">Whether the one of IPv4 or that of IPv6.</param>
    /// <param name="bound">The address to which the socket is bound.</param>
    /// <returns><see langword="null"/> if there is none, or the system does not tell.</returns>
    public static Gateway? Find(AddressFamily family, IPAddress bound)
    {
        var own = SocketFactory.IsWildcard(bound) ? SourceTowards(family == AddressFamily.InterNetwork ? s_far : s_farIPv6) : bound;
        if (own is null || own.AddressFamily != family)
        {
            return null;
        }

        try
        {
            return NetworkInterface.GetAllNetworkInterfaces().Select(face => OfInterface(face, own)).FirstOrDefault(it => it is not null);
        }
        catch (NetworkInformationException)
        {
            return null;
        }
    }

    private static Gateway? OfInterface(NetworkInterface face, IPAddress own)
    {
        var properties = face.GetIPProperties();
        var unicast = properties.UnicastAddresses.FirstOrDefault(it => it.Address.Equals(own));
        var gateway = properties.GatewayAddresses
            .Select(it => it.Address)
            .FirstOrDefault(it => it.AddressFamily == own.AddressFamily && !SocketFactory.IsWildcard(it));
        return unicast is null || gateway is null ? null : new Gateway(Scoped(gateway, face), own, unicast.PrefixLength);
    }

    // A link-local address is none without its interface.
    private static IPAddress Scoped(IPAddress gateway, NetworkInterface face) =>
        gateway.IsIPv6LinkLocal && gateway.ScopeId == 0
            ? new IPAddress(gateway.GetAddressBytes(), face.GetIPProperties().GetIPv6Properties().Index)
            : gateway;

    private static IPAddress? SourceTowards(IPEndPoint remote)
    {
        try
        {
            using var probe = new Socket(remote.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            probe.Connect(remote);
            return ((IPEndPoint)probe.LocalEndPoint!).Address;
        }
        catch (SocketException)
        {
            return null;
        }
    }
}
