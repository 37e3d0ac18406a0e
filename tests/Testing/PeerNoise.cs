namespace UtpPunch.Tests;

/// <summary>
/// Bytes that look random and that both sides can make from a seed: xorshift32, the top byte of each state.
/// tests/peers/noise.js is the same in JavaScript.
/// </summary>
public sealed class PeerNoise(int seed)
{
    private uint _state = ((uint)seed ^ 0x9E3779B9) is var x && x != 0 ? x : 1;

    /// <summary>The first <paramref name="count"/> bytes of a seed.</summary>
    public static byte[] Bytes(int seed, int count)
    {
        var bytes = new byte[count];
        new PeerNoise(seed).Fill(bytes);
        return bytes;
    }

    /// <summary>The next bytes.</summary>
    public void Fill(Span<byte> bytes)
    {
        var x = _state;
        for (var i = 0; i < bytes.Length; i++)
        {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            bytes[i] = (byte)(x >> 24);
        }

        _state = x;
    }
}
