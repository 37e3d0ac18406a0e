using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace UtpPunch;

/// <summary>The differentiated services code point (RFC 2474) of what a socket sends, in both address families. A system without the option sends with
/// its own.</summary>
internal static class TrafficClass
{
    // The octet has the two bits of ECN below the code point.
    private const int Shift = 2;

    // netinet/in.h of Linux; .NET has no name for the option of IPv6.
    private const int IPv6Level = 41;
    private const int IPv6TrafficClass = 67;

    public static void Set(Socket socket, int codePoint)
    {
        if (codePoint == 0)
        {
            return;
        }

        try
        {
            socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.TypeOfService, codePoint << Shift);
            if (HasOptionOfIPv6(socket))
            {
                var octet = codePoint << Shift;
                socket.SetRawSocketOption(IPv6Level, IPv6TrafficClass, MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in octet)));
            }
        }
        catch (Exception error) when (error is SocketException or PlatformNotSupportedException)
        {
            // As documented: networks need not respect it either.
        }
    }

    /// <summary>What the socket has, of the family of its addresses; 0 where the system does not tell.</summary>
    public static int Of(Socket socket)
    {
        try
        {
            if (!HasOptionOfIPv6(socket))
            {
                return (int)socket.GetSocketOption(SocketOptionLevel.IP, SocketOptionName.TypeOfService)! >> Shift;
            }

            Span<byte> octet = stackalloc byte[sizeof(int)];
            socket.GetRawSocketOption(IPv6Level, IPv6TrafficClass, octet);
            return MemoryMarshal.Read<int>(octet) >> Shift;
        }
        catch (Exception error) when (error is SocketException or PlatformNotSupportedException)
        {
            return 0;
        }
    }

    private static bool HasOptionOfIPv6(Socket socket) => socket.AddressFamily == AddressFamily.InterNetworkV6 && OperatingSystem.IsLinux();
}
