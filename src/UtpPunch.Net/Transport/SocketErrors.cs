using System.Net.Sockets;

namespace UtpPunch;

/// <summary>Classifies the errors of sending.</summary>
internal static class SocketErrors
{
    /// <summary>Whether there is no route to the address.</summary>
    public static bool IsNoWay(this SocketError error) =>
        error is SocketError.NetworkUnreachable or SocketError.HostUnreachable or SocketError.NetworkDown or SocketError.HostDown
            or SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported or SocketError.InvalidArgument;

    /// <summary>Whether the datagram is longer than the path takes without fragmentation.</summary>
    public static bool IsTooLong(this SocketError error) => error is SocketError.MessageSize;

    /// <summary>Whether there is no room for the datagram now.</summary>
    public static bool IsBlocked(this SocketError error) =>
        error is SocketError.WouldBlock or SocketError.NoBufferSpaceAvailable or SocketError.IOPending;

    /// <summary>Converts an <c>errno</c> of Linux.</summary>
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
