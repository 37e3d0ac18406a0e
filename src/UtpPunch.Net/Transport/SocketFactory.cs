using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>The sizes of a socket's buffers, in bytes.</summary>
internal readonly record struct BufferSizes(int Receive, int Send);

/// <summary>Creates the sockets of a node, with the same options for every transport.</summary>
internal static class SocketFactory
{
    // Windows: without these a peer's ICMP error makes the next receive fail (SIO_UDP_CONNRESET, SIO_UDP_NETRESET).
    private const int SioUdpConnReset = -1744830452;
    private const int SioUdpNetReset = -1744830449;

    /// <summary>
    /// Creates a bound, non-blocking UDP socket. For an IPv6 address it is dual-mode; for <c>[::]</c> it is an IPv4 socket on a machine
    /// without IPv6.
    /// </summary>
    /// <exception cref="SocketException">The address is in use, is not one of this machine, or may not be used.</exception>
    public static Socket Bind(IPEndPoint local, int receiveBuffer, int sendBuffer, int codePoint = 0)
    {
        try
        {
            return BindTo(local, receiveBuffer, sendBuffer, codePoint);
        }
        catch (SocketException error) when (local.Address.Equals(IPAddress.IPv6Any) && IsWithoutIPv6(error.SocketErrorCode))
        {
            return BindTo(new IPEndPoint(IPAddress.Any, local.Port), receiveBuffer, sendBuffer, codePoint);
        }
    }

    /// <summary>
    /// Creates a socket for one address with the port of another socket, which is bound to all addresses, and with buffers of the same size.
    /// </summary>
    /// <exception cref="SocketException">The address is not one of this machine, or its port is in use.</exception>
    public static Socket BindBeside(Socket wildcard, IPEndPoint local)
    {
        // Two sockets share a port if both permit it while they are bound. Later, no other process shall share it.
        Share(wildcard, true);
        try
        {
            var socket = BindTo(local, 0, 0, TrafficClass.Of(wildcard), shares: true);
            CopyBufferSizes(wildcard, socket);
            Share(socket, false);
            return socket;
        }
        finally
        {
            Share(wildcard, false);
        }
    }

    /// <summary>Whether an address stands for all addresses of this machine.</summary>
    public static bool IsWildcard(IPAddress address) => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);

    /// <summary>What the system has granted, which may be less than was asked for; 0 where it does not say.</summary>
    public static BufferSizes BufferSizesOf(Socket socket)
    {
        // socket(7): "The kernel doubles this value … when it is set … and this doubled value is returned".
        var factor = OperatingSystem.IsLinux() ? 2 : 1;
        var sizes = default(BufferSizes);
        Try(() => sizes = new BufferSizes(socket.ReceiveBufferSize / factor, socket.SendBufferSize / factor));
        return sizes;
    }

    /// <summary>Gives a socket buffers of the same size as those of another one.</summary>
    public static void CopyBufferSizes(Socket from, Socket to)
    {
        var sizes = BufferSizesOf(from);
        if (sizes != default)
        {
            Try(() => to.ReceiveBufferSize = sizes.Receive);
            Try(() => to.SendBufferSize = sizes.Send);
        }
    }

    // Windows lets a socket for one address stand beside one for all that is not exclusive, and would share with any process otherwise.
    private static void Share(Socket socket, bool shares)
    {
        if (!OperatingSystem.IsWindows())
        {
            Try(() => socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, shares));
        }
    }

    private static Socket BindTo(IPEndPoint local, int receiveBuffer, int sendBuffer, int codePoint, bool shares = false)
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
                Try(() => socket.ExclusiveAddressUse = !IsWildcard(local.Address));
                Try(() => socket.IOControl(SioUdpConnReset, [0, 0, 0, 0], null));
                Try(() => socket.IOControl(SioUdpNetReset, [0, 0, 0, 0], null));
            }

            Fragmentation.Forbid(socket);
            TrafficClass.Set(socket, codePoint);
            if (shares)
            {
                Share(socket, true);
            }
            else
            {
                Try(() => socket.ReceiveBufferSize = receiveBuffer);
                Try(() => socket.SendBufferSize = sendBuffer);
            }

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

    /// <summary>Creates a socket that is connected to itself, so that no other can send to it. A datagram to it ends the wait of a
    /// thread.</summary>
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

    // A system without the option still carries datagrams.
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
