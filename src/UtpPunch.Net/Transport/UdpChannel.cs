using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>One of the sockets of a transport.</summary>
/// <param name="socket">Bound and non-blocking. It belongs to the transport.</param>
/// <param name="via">The number by which the core knows the socket (<see cref="Protocol.Endpoint.Via"/>); 0 is the node's own.</param>
/// <param name="local">The number of the address to which the socket is bound (<see cref="Protocol.Endpoint.Local"/>); 0 if the core need not
/// know it.</param>
internal sealed class UdpChannel(Socket socket, ushort via, ushort local = 0)
{
    public Socket Socket { get; } = socket;

    public SafeSocketHandle Handle { get; } = socket.SafeHandle;

    public ushort Via { get; } = via;

    public ushort Local { get; } = local;

    public IPEndPoint LocalEndPoint { get; } = (IPEndPoint)socket.LocalEndPoint!;

    /// <summary>Whether the socket is bound to all addresses.</summary>
    public bool IsWildcard { get; } = SocketFactory.IsWildcard(((IPEndPoint)socket.LocalEndPoint!).Address);

    /// <summary>Whether the core still uses the socket. Another thread may wait on one that it does not use.</summary>
    public bool IsOpen { get; set; } = true;
}
