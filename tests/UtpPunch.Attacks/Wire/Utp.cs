using System.Buffers.Binary;
using System.Diagnostics;

namespace UtpPunch.Attacks.Wire;

/// <summary>The header of a uTP packet (BEP 29), written and read without the library, so that older builds can be attacked too.</summary>
internal record struct Utp(byte Type, ushort Id, uint Stamp, uint Difference, uint Window, ushort Seq, ushort Ack)
{
    public const int Length = 20;
    public const byte Data = 0;
    public const byte Fin = 1;
    public const byte State = 2;
    public const byte Reset = 3;
    public const byte Syn = 4;

    /// <summary>The clock of all scripted peers, in microseconds.</summary>
    public static uint Now => (uint)(Stopwatch.GetTimestamp() * 1_000_000 / Stopwatch.Frequency);

    public readonly int Write(Span<byte> to)
    {
        to[0] = (byte)(Type << 4 | 1);
        to[1] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(to[2..], Id);
        BinaryPrimitives.WriteUInt32BigEndian(to[4..], Stamp);
        BinaryPrimitives.WriteUInt32BigEndian(to[8..], Difference);
        BinaryPrimitives.WriteUInt32BigEndian(to[12..], Window);
        BinaryPrimitives.WriteUInt16BigEndian(to[16..], Seq);
        BinaryPrimitives.WriteUInt16BigEndian(to[18..], Ack);
        return Length;
    }

    public static bool TryRead(ReadOnlySpan<byte> from, out Utp header)
    {
        header = default;
        if (from.Length < Length || (from[0] & 15) != 1 || from[0] >> 4 > Syn)
        {
            return false;
        }

        header = new Utp(
            (byte)(from[0] >> 4),
            BinaryPrimitives.ReadUInt16BigEndian(from[2..]),
            BinaryPrimitives.ReadUInt32BigEndian(from[4..]),
            BinaryPrimitives.ReadUInt32BigEndian(from[8..]),
            BinaryPrimitives.ReadUInt32BigEndian(from[12..]),
            BinaryPrimitives.ReadUInt16BigEndian(from[16..]),
            BinaryPrimitives.ReadUInt16BigEndian(from[18..]));
        return true;
    }
}
