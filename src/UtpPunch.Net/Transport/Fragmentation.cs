using System.Net.Sockets;

namespace UtpPunch;

/// <summary>
/// Whether IP may fragment datagrams (DF). It must not, or path MTU discovery could not work (RFC 8899, 3). The exception is a packet that
/// was numbered before the path MTU became smaller: it cannot be cut again.
/// </summary>
internal static class Fragmentation
{
    // Linux: ip(7) and ipv6(7). IP_PMTUDISC_PROBE sets DF and ignores the kernel's path MTU; IP_PMTUDISC_DONT clears DF.
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
            // A dual-mode socket has both options.
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

    // Where the option is not known, IP fragments what is too long, and large packets arrive all the same.
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
