using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>Random numbers from a seed (SplitMix64): the same in every run, and cheap beside what a datagram costs its receiver.</summary>
internal sealed class Draws
{
    private const int PoolSize = 1 << 20;

    private readonly byte[] _pool = new byte[PoolSize];
    private ulong _state;

    public Draws(ulong seed)
    {
        _state = seed;
        for (var at = 0; at < PoolSize; at += sizeof(ulong))
        {
            BitConverter.TryWriteBytes(_pool.AsSpan(at), Next());
        }
    }

    public ulong Next()
    {
        var mixed = _state += 0x9E3779B97F4A7C15;
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
        return mixed ^ (mixed >> 31);
    }

    public int Below(int count) => (int)((ulong)(uint)Next() * (uint)count >> 32);

    /// <summary>Between two numbers, both included.</summary>
    public int Between(int least, int most) => least + Below(most - least + 1);

    public bool OneIn(int count) => Below(count) == 0;

    public uint Word() => (uint)Next();

    public ushort Short() => (ushort)Next();

    public T Of<T>(IReadOnlyList<T> items) => items[Below(items.Count)];

    /// <summary>Fills a span of at most 64 KiB with bytes from a pool, which is faster than to draw each.</summary>
    public void Fill(Span<byte> target) => _pool.AsSpan(Below(PoolSize - 65536), target.Length).CopyTo(target);

    /// <summary>An endpoint with any IPv4 address.</summary>
    public Endpoint AnyEndpoint() => EndpointModule.ofIPv4(Word(), (ushort)(1 + Below(65535)));
}
