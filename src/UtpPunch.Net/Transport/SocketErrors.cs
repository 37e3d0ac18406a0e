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

    /// <summary>The name of an <c>errno</c> of Linux, as far as sending has a use for it.</summary>
    public static SocketError OfLinux(int number) => number switch
    {
        1 or 13 => SocketError.AccessDenied,
        4 => SocketError.Interrupted,
        11 => SocketError.WouldBlock,
        12 or 105 => SocketError.NoBufferSpaceAvailable,
        22 => SocketError.InvalidArgument,
        90 => SocketError.MessageSize,
        97 => SocketError.AddressFamilyNotSupported,
        99 => SocketError.AddressNotAvailable,
        100 => SocketError.NetworkDown,
        101 => SocketError.NetworkUnreachable,
        104 => SocketError.ConnectionReset,
        111 => SocketError.ConnectionRefused,
        112 => SocketError.HostDown,
        113 => SocketError.HostUnreachable,
        _ => SocketError.SocketError,
    };
}
