using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>Makes the sockets of a node, with the same settings whatever transport uses them.</summary>
internal static class SocketFactory
{
    // Windows: without these a peer's ICMP error makes the next receive fail (SIO_UDP_CONNRESET, SIO_UDP_NETRESET).
    private const int SioUdpConnReset = -1744830452;
    private const int SioUdpNetReset = -1744830449;

    /// <summary>
    /// A bound, non-blocking UDP socket. One for an IPv6 address speaks IPv4 too; the wildcard <c>[::]</c> falls back to IPv4 on a machine
    /// without IPv6.
    /// </summary>
    /// <exception cref="SocketException">The address is taken, is not ours, or may not be used.</exception>
    public static Socket Bind(IPEndPoint local, int receiveBuffer, int sendBuffer)
    {
        try
        {
            return BindTo(local, receiveBuffer, sendBuffer);
        }
        catch (SocketException error) when (local.Address.Equals(IPAddress.IPv6Any) && IsWithoutIPv6(error.SocketErrorCode))
        {
            return BindTo(new IPEndPoint(IPAddress.Any, local.Port), receiveBuffer, sendBuffer);
        }
    }

    /// <summary>Gives a socket buffers of the same size as those of another one.</summary>
    public static void CopyBufferSizes(Socket from, Socket to)
    {
        // socket(7): "The kernel doubles this value … when it is set … and this doubled value is returned".
        var factor = OperatingSystem.IsLinux() ? 2 : 1;
        Try(() => to.ReceiveBufferSize = from.ReceiveBufferSize / factor);
        Try(() => to.SendBufferSize = from.SendBufferSize / factor);
    }

    private static Socket BindTo(IPEndPoint local, int receiveBuffer, int sendBuffer)
    {
        var socket = new Socket(local.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            if (local.AddressFamily == AddressFamily.InterNetworkV6)
            {
                Try(() => socket.DualMode = true);
            }

            if (OperatingSystem.IsWindows())
            {
                Try(() => socket.ExclusiveAddressUse = true);
                Try(() => socket.IOControl(SioUdpConnReset, [0, 0, 0, 0], null));
                Try(() => socket.IOControl(SioUdpNetReset, [0, 0, 0, 0], null));
            }

            Fragmentation.Forbid(socket);
            Try(() => socket.ReceiveBufferSize = receiveBuffer);
            Try(() => socket.SendBufferSize = sendBuffer);
            socket.Blocking = false;
            socket.Bind(local);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static bool IsWithoutIPv6(SocketError error) =>
        error is SocketError.AddressFamilyNotSupported or SocketError.ProtocolNotSupported or SocketError.AddressNotAvailable;

    /// <summary>A socket connected to itself: what one thread sends makes another one's wait end, and nobody else can send to it.</summary>
    public static Socket Waker()
    {
        var loopback = Socket.OSSupportsIPv4 ? IPAddress.Loopback : IPAddress.IPv6Loopback;
        var socket = new Socket(loopback.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.Blocking = false;
            socket.Bind(new IPEndPoint(loopback, 0));
            socket.Connect(socket.LocalEndPoint!);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    // A wish: a system that does not know it still carries datagrams.
    private static void Try(Action setting)
    {
        try
        {
            setting();
        }
        catch (Exception error) when (error is SocketException or PlatformNotSupportedException)
        {
        }
    }
}
