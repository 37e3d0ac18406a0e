using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Limits the hops of what a socket sends, until it is disposed. Systems that cannot do so send as usual.</summary>
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

    /// <param name="socket">The one that sends.</param>
    /// <param name="remote">A socket for IPv6 has a limit of its own for IPv4 addresses.</param>
    /// <param name="hops">0 for no limit.</param>
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
