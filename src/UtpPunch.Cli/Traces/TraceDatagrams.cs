using System.Buffers.Binary;
using System.Globalization;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>Between the fields of a `pkt` line and the bytes of its datagram.</summary>
internal static class TraceDatagrams
{
    private static readonly Dictionary<string, PacketType> Types = new(StringComparer.Ordinal)
    {
        ["DATA"] = PacketType.Data,
        ["FIN"] = PacketType.Fin,
        ["STATE"] = PacketType.State,
        ["RESET"] = PacketType.Reset,
        ["SYN"] = PacketType.Syn,
    };

    /// <summary>Takes a line apart. Throws <see cref="FormatException"/> when it is not one that could be put together again.</summary>
    public static TraceDatagram Read(TraceLine line, int number, TracePayloads payloads)
    {
        if (line.Find("raw") is { } raw)
        {
            return new TraceDatagram { Line = number, Type = "RAW", Raw = raw, Length = raw.Length / 2 };
        }

        var type = Array.Find(line.Fields, field => !field.Contains('=', StringComparison.Ordinal))
            ?? throw new FormatException($"no type of packet in: {line}");
        if (!Types.TryGetValue(type.ToUpperInvariant(), out var value))
        {
            throw new FormatException($"'{type}' is no type of packet: it is {string.Join(", ", Types.Keys)}");
        }

        var datagram = new TraceDatagram
        {
            Line = number,
            Type = type.ToUpperInvariant(),
            Header = new Header(
                value,
                (ushort)Number(line, "id", ushort.MaxValue),
                (uint)Number(line, "ts", uint.MaxValue),
                (uint)Number(line, "td", uint.MaxValue),
                (uint)Number(line, "wnd", uint.MaxValue),
                new SeqNr((ushort)Number(line, "seq", ushort.MaxValue)),
                new SeqNr((ushort)Number(line, "ack", ushort.MaxValue))),
            Length = (int)Number(line, "len", ushort.MaxValue),
            Sack = line.Find("sack") ?? "",
            Bits = line.Find("bits") is { } bits ? BitsOf(bits) : 0,
            MayFragment = line.Find("frag") == "1",
            Payload = line.Find("pay"),
        };
        payloads.Check(datagram.Payload, datagram.Length);
        return SackOf(datagram).Length is var length && length <= 252 && length % 4 == 0
            ? datagram
            : throw new FormatException($"sack={datagram.Sack} is not a multiple of 4 bytes, at most 252");
    }

    /// <summary>The datagram as it was on the wire.</summary>
    public static byte[] Encode(TraceDatagram datagram, TracePayloads payloads)
    {
        try
        {
            if (datagram.Raw is { } raw)
            {
                return TracePayloads.Digits("raw", raw);
            }

            var sack = SackOf(datagram);
            var payload = payloads.Expand(datagram.Payload, datagram.Length);
            var bytes = new byte[PacketModule.lengthOf(sack.Length, datagram.Bits, payload.Length)];
            PacketModule.encode(datagram.Header, new Owned(sack), datagram.Bits, new Owned(payload), bytes);
            return bytes;
        }
        catch (FormatException error)
        {
            throw new ToolException(ExitCodes.Failure, $"line {datagram.Line}: {error.Message}", error);
        }
    }

    private static ulong BitsOf(string digits) => digits.Length == 16
        ? BinaryPrimitives.ReadUInt64BigEndian(TracePayloads.Digits("bits", digits))
        : throw new FormatException($"bits={digits} are not 8 bytes");

    private static byte[] SackOf(TraceDatagram datagram) => datagram.Sack.Length == 0 ? [] : TracePayloads.Digits("sack", datagram.Sack);

    private static long Number(TraceLine line, string key, long limit) => line.Number(key) is var value && value >= 0 && value <= limit
        ? value
        : throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"{key}={value} does not fit its field, 0 to {limit}"));
}
