using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Cli.Traces;

/// <summary>Puts UDP and IP headers before a datagram.</summary>
internal static class UdpPackets
{
    private const int UdpHeader = 8;
    private const int IPv4Header = 20;
    private const int IPv6Header = 40;
    private const byte Udp = 17;
    private const byte HopLimit = 64;

    public static byte[] Wrap(IPEndPoint source, IPEndPoint target, ReadOnlySpan<byte> datagram)
    {
        var isIPv4 = source.AddressFamily == AddressFamily.InterNetwork && target.AddressFamily == AddressFamily.InterNetwork;
        var from = (isIPv4 ? source.Address : source.Address.MapToIPv6()).GetAddressBytes();
        var to = (isIPv4 ? target.Address : target.Address.MapToIPv6()).GetAddressBytes();
        var header = isIPv4 ? IPv4Header : IPv6Header;
        var packet = new byte[header + UdpHeader + datagram.Length];
        var udp = packet.AsSpan(header);
        BinaryPrimitives.WriteUInt16BigEndian(udp, (ushort)source.Port);
        BinaryPrimitives.WriteUInt16BigEndian(udp[2..], (ushort)target.Port);
        BinaryPrimitives.WriteUInt16BigEndian(udp[4..], (ushort)udp.Length);
        datagram.CopyTo(udp[UdpHeader..]);

        // RFC 768: the checksum also covers the addresses, the protocol and the length; 0 means that there is none.
        var sum = Checksum(Sum(from) + Sum(to) + Udp + udp.Length + Sum(udp));
        BinaryPrimitives.WriteUInt16BigEndian(udp[6..], sum == 0 ? ushort.MaxValue : sum);
        if (isIPv4)
        {
            WriteIPv4(packet, from, to);
        }
        else
        {
            WriteIPv6(packet, from, to, udp.Length);
        }

        return packet;
    }

    private static void WriteIPv4(Span<byte> packet, byte[] from, byte[] to)
    {
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet[2..], (ushort)packet.Length);
        packet[6] = 0x40;                                   // DF
        packet[8] = HopLimit;
        packet[9] = Udp;
        from.CopyTo(packet[12..]);
        to.CopyTo(packet[16..]);
        BinaryPrimitives.WriteUInt16BigEndian(packet[10..], Checksum(Sum(packet[..IPv4Header])));
    }

    private static void WriteIPv6(Span<byte> packet, byte[] from, byte[] to, int length)
    {
        packet[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(packet[4..], (ushort)length);
        packet[6] = Udp;
        packet[7] = HopLimit;
        from.CopyTo(packet[8..]);
        to.CopyTo(packet[24..]);
    }

    private static long Sum(ReadOnlySpan<byte> bytes)
    {
        var sum = 0L;
        for (var i = 0; i < bytes.Length; i++)
        {
            sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
        }

        return sum;
    }

    private static ushort Checksum(long sum)
    {
        while (sum > ushort.MaxValue)
        {
            sum = (sum & ushort.MaxValue) + (sum >> 16);
        }

        return (ushort)~sum;
    }
}
