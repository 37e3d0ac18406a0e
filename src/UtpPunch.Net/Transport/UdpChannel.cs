using System.Net.Sockets;

namespace UtpPunch;

/// <summary>One of the sockets of a transport.</summary>
/// <param name="socket">Bound and non-blocking. It belongs to the transport.</param>
/// <param name="via">The number by which the core knows the socket (<see cref="Protocol.Endpoint.Via"/>); 0 is the node's own.</param>
internal sealed class UdpChannel(Socket socket, ushort via)
{
    public Socket Socket { get; } = socket;

    public SafeSocketHandle Handle { get; } = socket.SafeHandle;

    public ushort Via { get; } = via;

    /// <summary>Whether the core still uses the socket. Another thread may wait on one that it does not use.</summary>
    public bool IsOpen { get; set; } = true;
}
