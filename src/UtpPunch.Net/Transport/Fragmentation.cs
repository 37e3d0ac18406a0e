using System.Net.Sockets;

namespace UtpPunch;

/// <summary>
/// Whether the network may cut datagrams in pieces (DF). It may not, or no probe of path MTU discovery would tell anything; only what was
/// numbered before the path became narrower has no other way through.
/// </summary>
internal static class Fragmentation
{
    // Linux: ip(7) and ipv6(7). PROBE sets DF and leaves it to us to find out what passes; DO NOT clears it.
    private const int IPProtocol = 0;
    private const int IPMtuDiscover = 10;
    private const int IPv6Protocol = 41;
    private const int IPv6MtuDiscover = 23;
    private const int Probe = 3;
    private const int Dont = 0;

    public static void Forbid(Socket socket) => Set(socket, forbidden: true);

    public static void Allow(Socket socket) => Set(socket, forbidden: false);

    private static void Set(Socket socket, bool forbidden)
    {
        if (OperatingSystem.IsLinux())
        {
            // An IPv6 socket that speaks IPv4 as well has both.
            var value = BitConverter.GetBytes(forbidden ? Probe : Dont);
            Try(() => socket.SetRawSocketOption(IPProtocol, IPMtuDiscover, value));
            if (socket.AddressFamily == AddressFamily.InterNetworkV6)
            {
                Try(() => socket.SetRawSocketOption(IPv6Protocol, IPv6MtuDiscover, value));
            }
        }
        else
        {
            Try(() => socket.DontFragment = forbidden);
        }
    }

    // A wish: without it the network cuts what is too long, and large packets get through in pieces.
    private static void Try(Action setting)
    {
        try
        {
            setting();
        }
        catch (Exception error) when (error is SocketException or NotSupportedException)
        {
        }
    }
}
