using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Converts between the three types of an address: the core's <see cref="Endpoint"/> (always IPv6, an IPv4 address in its mapped form), the
/// <see cref="SocketAddress"/> of a system call, and the user's <see cref="IPEndPoint"/> (an IPv4 address as such).
/// </summary>
internal static class Addresses
{
    // sockaddr_in and sockaddr_in6 agree on all systems from the third byte on: port, then either the address, or flow, address, scope.
    private const int PortOffset = 2;
    private const int IPv4Offset = 4;
    private const int IPv6Offset = 8;
    private const int ScopeOffset = 24;

    // Of the same length on all known systems.
    private const int IPv6Size = 28;

    public static Endpoint Read(SocketAddress address) => Read(address.Buffer.Span[..address.Size]);

    /// <summary>Reads a socket address of either family. Its length tells the family.</summary>
    public static Endpoint Read(ReadOnlySpan<byte> bytes)
    {
        var port = BinaryPrimitives.ReadUInt16BigEndian(bytes[PortOffset..]);
        if (bytes.Length < IPv6Size)
        {
            return EndpointModule.ofIPv4(BinaryPrimitives.ReadUInt32BigEndian(bytes[IPv4Offset..]), port);
        }

        return new Endpoint(
            BinaryPrimitives.ReadUInt64BigEndian(bytes[IPv6Offset..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[(IPv6Offset + 8)..]),
            BitConverter.ToUInt32(bytes[ScopeOffset..]),
            port,
            0,
            0);
    }

    /// <summary>The address for a socket of a family; <see langword="null"/> if the family has no such address.</summary>
    public static SocketAddress? Write(Endpoint endpoint, AddressFamily family)
    {
        var address = new SocketAddress(family);
        var bytes = address.Buffer.Span;
        BinaryPrimitives.WriteUInt16BigEndian(bytes[PortOffset..], endpoint.Port);
        if (family == AddressFamily.InterNetwork)
        {
            if (!EndpointModule.isIPv4(endpoint))
            {
                return null;
            }

            BinaryPrimitives.WriteUInt32BigEndian(bytes[IPv4Offset..], (uint)endpoint.Low);
        }
        else
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes[IPv6Offset..], endpoint.High);
            BinaryPrimitives.WriteUInt64BigEndian(bytes[(IPv6Offset + 8)..], endpoint.Low);
            BitConverter.TryWriteBytes(bytes[ScopeOffset..], endpoint.Scope);
        }

        return address;
    }

    public static Endpoint ToEndpoint(IPEndPoint endPoint)
    {
        Span<byte> bytes = stackalloc byte[16];
        endPoint.Address.TryWriteBytes(bytes, out var length);
        var port = (ushort)endPoint.Port;
        if (length == 4)
        {
            return EndpointModule.ofIPv4(BinaryPrimitives.ReadUInt32BigEndian(bytes), port);
        }

        // The system reports a scope for link-local addresses only, and the source of a reply must equal the address that was sent to.
        var scope = endPoint.Address.IsIPv6LinkLocal ? (uint)endPoint.Address.ScopeId : 0;
        return new Endpoint(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]), scope, port, 0, 0);
    }

    public static IPEndPoint ToIPEndPoint(Endpoint endpoint)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (EndpointModule.isIPv4(endpoint))
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes, (uint)endpoint.Low);
            return new IPEndPoint(new IPAddress(bytes[..4]), endpoint.Port);
        }

        BinaryPrimitives.WriteUInt64BigEndian(bytes, endpoint.High);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], endpoint.Low);
        return new IPEndPoint(new IPAddress(bytes, endpoint.Scope), endpoint.Port);
    }
}
