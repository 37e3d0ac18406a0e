namespace UtpPunch;

/// <summary>
/// What the streams of a node hold of written bytes that are not acknowledged yet. A stream may hold a quarter of what is left, so that
/// peers that acknowledge nothing leave some for others, and in any case a small share that is its own: together, no more than the budget.
/// Thread-safe.
/// </summary>
internal sealed class SendMemory
{
    private readonly long _common;
    private long _held;

    public SendMemory(long budget, int streams)
    {
        OwnShare = (int)Math.Clamp(budget / 2 / streams, 1, 64 * 1024);
        _common = budget - ((long)OwnShare * streams);
    }

    /// <summary>How many bytes a stream may hold in any case.</summary>
    public int OwnShare { get; }

    public long Held => Volatile.Read(ref _held);

    /// <summary>How many bytes a stream that holds <paramref name="own"/> may add.</summary>
    public long RoomFor(long own) => Math.Max(OwnShare, (_common - Volatile.Read(ref _held)) / 4) - own;

    public void Add(long bytes) => Interlocked.Add(ref _held, bytes);
}
