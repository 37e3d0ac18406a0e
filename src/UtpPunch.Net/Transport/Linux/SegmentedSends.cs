using System.Net.Sockets;
using System.Runtime.InteropServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Lays out a <c>sendmsg</c> of up to 64 packets: headers, which are written here, alternate with slices of the payload, which is not
/// copied. A UDP_SEGMENT control message tells the kernel the size of the packets, and another one their source.
/// </summary>
internal sealed unsafe class SegmentedSends : IDisposable
{
    // UDP_MAX_SEGMENTS of kernels before 6.9.
    private const int MaxSegments = 64;
    private const int MaxHeader = 20 + 2 + 252 + 2 + 8;
    private const int SegmentSize = 24;
    private const int ControlSize = SegmentSize + SourceControl.Size;

    private readonly byte* _memory;
    private readonly Libc.Message* _message;
    private readonly Libc.Part* _parts;
    private readonly byte* _control;
    private readonly byte* _headers;

    public SegmentedSends()
    {
        _memory = (byte*)NativeMemory.AllocZeroed((nuint)(sizeof(Libc.Message) + (2 * MaxSegments * sizeof(Libc.Part)) + ControlSize + (MaxSegments * MaxHeader)));
        _message = (Libc.Message*)_memory;
        _parts = (Libc.Part*)(_memory + sizeof(Libc.Message));
        _control = (byte*)(_parts + (2 * MaxSegments));
        _headers = _control + ControlSize;
        var segment = (Libc.ControlHeader*)_control;
        segment->Length = (nuint)sizeof(Libc.ControlHeader) + sizeof(ushort);
        segment->Level = Libc.SOL_UDP;
        segment->Type = Libc.UDP_SEGMENT;
    }

    /// <summary>How many packets of a train one call takes.</summary>
    public static int Limit(Train train) => Math.Clamp(65507 / train.LengthOf(0), 1, MaxSegments);

    /// <summary>
    /// Lays out some packets of a train. The message is valid until the next call, and while <paramref name="payload"/>, the start of the
    /// payload of the train, is pinned.
    /// </summary>
    /// <param name="train">The train.</param>
    /// <param name="start">The index of the first packet.</param>
    /// <param name="count">How many packets.</param>
    /// <param name="payload">The start of the payload of the train.</param>
    /// <param name="name">The target.</param>
    /// <param name="nameLength">The length of the target.</param>
    /// <param name="family">The family of the socket.</param>
    /// <param name="source">Where the packets leave from; <see langword="null"/> if the system is to choose.</param>
    public Libc.Message* Prepare(
        Train train, int start, int count, byte* payload, byte* name, int nameLength, AddressFamily family, LocalAddress? source)
    {
        var header = _headers;
        var part = _parts;
        for (var index = start; index < start + count; index++)
        {
            var length = train.WriteHeader(index, new Span<byte>(header, MaxHeader));
            *part++ = new Libc.Part { Start = header, Length = (nuint)length };
            header += length;
            var piece = Math.Min(train.PacketSize, train.Payload.Length - (index * train.PacketSize));
            if (piece > 0)
            {
                *part++ = new Libc.Part { Start = payload + ((nint)index * train.PacketSize), Length = (nuint)piece };
            }
        }

        // One packet needs no size. The source is the last one, so that it can be left out.
        *(ushort*)(_control + sizeof(Libc.ControlHeader)) = (ushort)train.LengthOf(start);
        var control = count > 1 ? _control : _control + SegmentSize;
        var controlLength = count > 1 ? SegmentSize : 0;
        if (source is { } local)
        {
            SourceControl.Write(_control + SegmentSize, local, family);
            controlLength += SourceControl.LengthFor(family);
        }

        *_message = new Libc.Message
        {
            Name = name,
            NameLength = (uint)nameLength,
            Parts = _parts,
            PartCount = (nuint)(part - _parts),
            Control = controlLength > 0 ? control : null,
            ControlLength = (nuint)controlLength,
        };
        return _message;
    }

    public void Dispose() => NativeMemory.Free(_memory);
}
