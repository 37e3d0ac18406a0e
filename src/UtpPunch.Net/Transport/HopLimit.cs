using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Sets the hop limit of a socket until this object is disposed. A system that cannot do so keeps its default.</summary>
internal readonly ref struct HopLimit
{
    private readonly Socket? _socket;
    private readonly (SocketOptionLevel Level, SocketOptionName Name) _option;
    private readonly int _before;

    private HopLimit(Socket socket, (SocketOptionLevel Level, SocketOptionName Name) option, int hops)
    {
        try
        {
            _before = (int)socket.GetSocketOption(option.Level, option.Name)!;
            socket.SetSocketOption(option.Level, option.Name, hops);
            (_socket, _option) = (socket, option);
        }
        catch (SocketException)
        {
        }
    }

    /// <param name="socket">The socket that sends.</param>
    /// <param name="remote">The target. A dual-mode socket has one limit for IPv4 and another one for IPv6.</param>
    /// <param name="hops">The limit, 1 to 255; 0 leaves it as it is.</param>
    public static HopLimit Of(Socket socket, Endpoint remote, int hops) =>
        hops == 0 ? default
        : EndpointModule.isIPv4(remote) ? new HopLimit(socket, (SocketOptionLevel.IP, SocketOptionName.IpTimeToLive), hops)
        : new HopLimit(socket, (SocketOptionLevel.IPv6, SocketOptionName.HopLimit), hops);

    public void Dispose()
    {
        try
        {
            _socket?.SetSocketOption(_option.Level, _option.Name, _before);
        }
        catch (SocketException)
        {
        }
    }
}
