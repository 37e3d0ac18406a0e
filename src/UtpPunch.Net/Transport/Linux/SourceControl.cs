using System.Buffers.Binary;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>
/// The control message that tells the own address of a datagram (IP_PKTINFO in ip(7), IPV6_PKTINFO in RFC 3542, 6): on a received one the
/// address at which it has arrived, on one to send its source.
/// </summary>
internal static unsafe class SourceControl
{
    /// <summary>The most bytes that it takes.</summary>
    public const int Size = 40;

    // struct in_pktinfo: interface, local address, address in the header. struct in6_pktinfo: address, interface.
    private const int SizeOfIPv4 = 12;
    private const int SizeOfIPv6 = 20;
    private const int LocalOffset = 4;
    private const int InterfaceOffset = 16;

    /// <summary>Reads a control message; <see langword="false"/> if it is another one.</summary>
    public static bool TryRead(ControlMessages message, out LocalAddress address)
    {
        if (message is { Level: Libc.SOL_IPV6, Type: Libc.IPV6_PKTINFO, Length: >= SizeOfIPv6 })
        {
            var bytes = new ReadOnlySpan<byte>(message.Data, SizeOfIPv6);
            var high = BinaryPrimitives.ReadUInt64BigEndian(bytes);
            var isLinkLocal = high >> 54 == 0xFE80 >> 6;
            address = new LocalAddress(high, BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]), isLinkLocal ? BitConverter.ToUInt32(bytes[InterfaceOffset..]) : 0);
            return true;
        }

        if (message is { Level: Libc.SOL_IP, Type: Libc.IP_PKTINFO, Length: >= SizeOfIPv4 })
        {
            var bits = BinaryPrimitives.ReadUInt32BigEndian(new ReadOnlySpan<byte>(message.Data + LocalOffset, 4));
            var mapped = Protocol.EndpointModule.ofIPv4(bits, 0);
            address = new LocalAddress(mapped.High, mapped.Low, 0);
            return true;
        }

        address = default;
        return false;
    }

    /// <summary>The length of one that a socket of that family sends.</summary>
    public static int LengthFor(AddressFamily family) => family == AddressFamily.InterNetwork ? 32 : Size;

    /// <summary>Writes one for a datagram to send.</summary>
    public static void Write(byte* target, LocalAddress source, AddressFamily family)
    {
        new Span<byte>(target, Size).Clear();
        var header = (Libc.ControlHeader*)target;
        var data = new Span<byte>(target + sizeof(Libc.ControlHeader), SizeOfIPv6);
        if (family == AddressFamily.InterNetwork)
        {
            *header = new Libc.ControlHeader { Length = (nuint)(sizeof(Libc.ControlHeader) + SizeOfIPv4), Level = Libc.SOL_IP, Type = Libc.IP_PKTINFO };
            BinaryPrimitives.WriteUInt32BigEndian(data[LocalOffset..], (uint)source.Low);
            return;
        }

        *header = new Libc.ControlHeader { Length = (nuint)(sizeof(Libc.ControlHeader) + SizeOfIPv6), Level = Libc.SOL_IPV6, Type = Libc.IPV6_PKTINFO };
        BinaryPrimitives.WriteUInt64BigEndian(data, source.High);
        BinaryPrimitives.WriteUInt64BigEndian(data[8..], source.Low);
        BitConverter.TryWriteBytes(data[InterfaceOffset..], source.Scope);
    }
}
