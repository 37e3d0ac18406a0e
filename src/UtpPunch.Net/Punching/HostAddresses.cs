using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The addresses at which a peer in the same network can reach a socket of this machine.</summary>
internal static class HostAddresses
{
    private const int Most = 8;

    public static Endpoint[] Of(IPEndPoint local, bool speaksIPv6, IReadOnlyList<IPAddress>? given)
    {
        var addresses = given ?? (SocketFactory.IsWildcard(local.Address) ? OfInterfaces(speaksIPv6) : [local.Address]);
        return [.. addresses.Take(Most).Select(address => Addresses.ToEndpoint(new IPEndPoint(address, local.Port)))];
    }

    private static List<IPAddress> OfInterfaces(bool speaksIPv6)
    {
        try
        {
            return [.. OwnAddresses.ForPeers().Where(address => address.AddressFamily == AddressFamily.InterNetwork || speaksIPv6)];
        }
        catch (NetworkInformationException)
        {
            // Without local addresses, the punch uses the address that the rendezvous server sees.
            return [];
        }
    }
}
