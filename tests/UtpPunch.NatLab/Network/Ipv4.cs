using System.Buffers.Binary;

namespace UtpPunch.NatLab.Network;

/// <summary>The fields of an IPv4 packet that a router reads and changes (RFC 791).</summary>
internal static class Ipv4
{
    private const int HeaderLength = 20;

    public static bool IsPacket(ReadOnlySpan<byte> packet) => packet.Length >= HeaderLength && packet[0] >> 4 == 4;

    public static uint Source(ReadOnlySpan<byte> packet) => BinaryPrimitives.ReadUInt32BigEndian(packet[12..]);

    public static uint Destination(ReadOnlySpan<byte> packet) => BinaryPrimitives.ReadUInt32BigEndian(packet[16..]);

    /// <summary>Decreases the TTL by a number of hops; false if it expires.</summary>
    public static bool Travel(Span<byte> packet, int hops)
    {
        if (packet[8] <= hops)
        {
            return false;
        }

        packet[8] -= (byte)hops;
        var header = packet[..((packet[0] & 15) * 4)];
        header[10..12].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], Checksum(header));
        return true;
    }

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
