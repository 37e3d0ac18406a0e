using System.Net.Sockets;

namespace UtpPunch;

/// <summary>What a socket's errors say about sending.</summary>
internal static class SocketErrors
{
    /// <summary>The network has no way to that address.</summary>
    public static bool IsNoWay(this SocketError error) =>
        error is SocketError.NetworkUnreachable or SocketError.HostUnreachable or SocketError.NetworkDown or SocketError.HostDown
            or SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported or SocketError.InvalidArgument;

    /// <summary>The datagram is longer than the way to that address takes in one piece.</summary>
    public static bool IsTooLong(this SocketError error) => error is SocketError.MessageSize;

    /// <summary>There is no room for the datagram now; later there may be.</summary>
    public static bool IsBlocked(this SocketError error) =>
        error is SocketError.WouldBlock or SocketError.NoBufferSpaceAvailable or SocketError.IOPending;
}
