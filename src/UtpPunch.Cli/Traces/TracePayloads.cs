using System.Globalization;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>What `pay=` stands for. Throws <see cref="FormatException"/> that says what is wrong.</summary>
internal sealed class TracePayloads
{
    private readonly Dictionary<string, ulong> _keys = [];

    /// <summary>Takes in `k0 0x1f3a0c55d2e47b99` of the header.</summary>
    public void Learn(string name, string key)
    {
        if (!key.StartsWith("0x", StringComparison.Ordinal)
            || !ulong.TryParse(key.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
        {
            throw new FormatException($"the key {name} is not 0x and hexadecimal digits");
        }

        _keys[name] = value;
    }

    /// <summary>The bytes of a payload; zeroes where the trace only has their hash, or nothing.</summary>
    public byte[] Expand(string? payload, int length)
    {
        switch (payload)
        {
            case null or "" or ['#', ..]:
                return new byte[length];
            case ['~', ..]:
                var bytes = new byte[length];
                var (key, offset) = Locate(payload, length);
                for (var i = 0; i < length; i++)
                {
                    bytes[i] = Keyed.byteAt(key, offset + i);
                }

                return bytes;
            default:
                return payload.Length == 2 * length ? Digits("pay", payload) : throw WrongLength(length);
        }
    }

    /// <summary>Finds out whether <see cref="Expand"/> would work, without the bytes.</summary>
    public void Check(string? payload, int length)
    {
        switch (payload)
        {
            case null or ['#', ..]:
                break;
            case ['~', ..]:
                Locate(payload, length);
                break;
            case var digits when digits.Length != 2 * length:
                throw WrongLength(length);
        }
    }

    public static byte[] Digits(string field, string digits)
    {
        try
        {
            return Convert.FromHexString(digits);
        }
        catch (FormatException error)
        {
            throw new FormatException($"{field}= is not pairs of hexadecimal digits", error);
        }
    }

    // ~k0:1380:1380
    private (ulong Key, long Offset) Locate(string payload, int length)
    {
        var parts = payload[1..].Split(':');
        if (parts.Length != 3 || !long.TryParse(parts[1], out var offset) || offset < 0 || !int.TryParse(parts[2], out var count))
        {
            throw new FormatException($"pay={payload} is not ~KEY:OFFSET:LENGTH");
        }

        if (!_keys.TryGetValue(parts[0], out var key))
        {
            throw new FormatException($"pay={payload} names a key that the header does not have");
        }

        return count == length ? (key, offset) : throw WrongLength(length);
    }

    private static FormatException WrongLength(int length) => new($"pay= is not the {length} bytes that len= says");
}
