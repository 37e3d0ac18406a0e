using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Asking STUN servers.</summary>
public static class Discovering
{
    [Fact("a node learns from a STUN server that there is neither a NAT nor a filter on the loopback")]
    public static async Task NoNat()
    {
        await using var server = Serve();
        await using var node = await Pair.BindAsync();
        var seen = await node.DiscoverNatAsync([server.LocalEndPoints[0]]).Within();
        Check.Equal(node.LocalEndPoint, seen.MappedEndPoint);
        Check.Equal(UtpNatBehavior.NoNat, seen.Mapping);
        Check.Equal(UtpNatBehavior.EndpointIndependent, seen.Filtering);
    }

    [Fact("a STUN server that does not answer is named, and only one or two servers are accepted")]
    public static async Task Silence()
    {
        await using var node = await Pair.BindAsync();
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var address = (IPEndPoint)silent.LocalEndPoint!;
        var error = await Check.ThrowsAsync<UtpException>(
            () => node.DiscoverNatAsync([address], TimeSpan.FromMilliseconds(300)).AsTask().Within());
        Check.Equal(UtpError.DiscoveryFailed, error.Error);
        Check.That(error.Message.Contains(address.ToString(), StringComparison.Ordinal));
        await Check.ThrowsAsync<ArgumentException>(() => node.DiscoverNatAsync([]).AsTask());
    }

    // Two ports of one address, then those of another: RFC 5780's four.
    private static UtpRendezvousServer Serve()
    {
        for (var tries = 0; ; tries++)
        {
            using var one = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            using var other = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            one.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            other.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            int[] ports = [((IPEndPoint)one.LocalEndPoint!).Port, ((IPEndPoint)other.LocalEndPoint!).Port];
            one.Dispose();
            other.Dispose();
            try
            {
                return UtpRendezvousServer.Bind(new UtpRendezvousServerOptions
                {
                    EnableStun = true,
                    LocalEndPoints = [.. new[] { "127.0.0.1", "127.0.0.2" }
                        .SelectMany(address => ports.Select(port => new IPEndPoint(IPAddress.Parse(address), port)))],
                });
            }
            catch (SocketException) when (tries < 20)
            {
                // Another process has taken one of the ports, which the system does not reserve as four.
            }
        }
    }
}
