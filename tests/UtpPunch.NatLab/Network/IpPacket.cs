using System.Buffers.Binary;
using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch.NatLab.Network;

/// <summary>The fields of an IPv4 or IPv6 packet that a router reads and changes (RFC 791, RFC 8200).</summary>
internal static class IpPacket
{
    private const int HeaderLength = 20;
    private const int IPv6HeaderLength = 40;

    public static bool IsPacket(ReadOnlySpan<byte> packet) => IsIPv4(packet) || IsIPv6(packet);

    public static Endpoint Source(ReadOnlySpan<byte> packet) => IsIPv4(packet) ? Address(packet[12..16]) : Address(packet[8..24]);

    public static Endpoint Destination(ReadOnlySpan<byte> packet) => IsIPv4(packet) ? Address(packet[16..20]) : Address(packet[24..40]);

    /// <summary>What routes name: an IPv4 address, or the /64 prefix of an IPv6 one.</summary>
    public static Endpoint Network(IPAddress address) => EndpointModule.network(Address(address.GetAddressBytes()));

    /// <summary>Decreases the TTL, or hop limit, by a number of hops; false if it expires.</summary>
    public static bool Travel(Span<byte> packet, int hops)
    {
        ref var left = ref packet[IsIPv4(packet) ? 8 : 7];
        if (left <= hops)
        {
            return false;
        }

        left -= (byte)hops;
        if (IsIPv4(packet))
        {
            var header = packet[..((packet[0] & 15) * 4)];
            header[10..12].Clear();
            BinaryPrimitives.WriteUInt16BigEndian(header[10..], Checksum(header));
        }

        return true;
    }

    private static bool IsIPv4(ReadOnlySpan<byte> packet) => packet.Length >= HeaderLength && packet[0] >> 4 == 4;

    private static bool IsIPv6(ReadOnlySpan<byte> packet) => packet.Length >= IPv6HeaderLength && packet[0] >> 4 == 6;

    private static Endpoint Address(ReadOnlySpan<byte> bytes) => bytes.Length == 4
        ? EndpointModule.ofIPv4(BinaryPrimitives.ReadUInt32BigEndian(bytes), 0)
        : EndpointModule.ofIPv6(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]), 0);

    private static ushort Checksum(ReadOnlySpan<byte> header)
    {
        var sum = 0u;
        for (var i = 0; i < header.Length; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(header[i..]);
        }

        sum = (sum & 0xFFFF) + (sum >> 16);
        return (ushort)~((sum & 0xFFFF) + (sum >> 16));
    }
}
