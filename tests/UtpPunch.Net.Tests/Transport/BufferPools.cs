namespace UtpPunch.Tests;

/// <summary>The pool of the buffers of 64 KiB.</summary>
public static class BufferPools
{
    [Fact("what was in use at once is kept, however much that is")]
    public static void Keeps()
    {
        var pool = new BufferPool(new Clock());
        var first = Rent(pool, 500);
        Return(pool, first);
        Check.Equal(500, pool.Idle, "idle buffers");
        var again = Rent(pool, 500);
        Check.That(again.ToHashSet().SetEquals(first), "the same buffers");
    }

    [Fact("buffers that were not needed for a while are dropped, and no others")]
    public static void Trims()
    {
        var clock = new Clock();
        var pool = new BufferPool(clock);
        Return(pool, Rent(pool, 100));
        TrimAfter(11, clock, pool);
        Check.Equal(100, pool.Idle, "idle buffers after the time in which all were used");
        Return(pool, Rent(pool, 30));
        TrimAfter(11, clock, pool);
        Check.Equal(30, pool.Idle, "idle buffers after the time in which 30 were used");
        TrimAfter(11, clock, pool);
        Check.Equal(0, pool.Idle, "idle buffers after the time in which none was used");
    }

    [Fact("collections that follow one another fast drop nothing")]
    public static void WaitsBetweenTrims()
    {
        var clock = new Clock();
        var pool = new BufferPool(clock);
        Return(pool, Rent(pool, 100));
        TrimAfter(11, clock, pool);
        TrimAfter(9, clock, pool);
        Check.Equal(100, pool.Idle, "idle buffers");
    }

    [Fact("no more than 128 MiB are idle")]
    public static void HasALimit()
    {
        var pool = new BufferPool(new Clock());
        Return(pool, Rent(pool, BufferPool.MaxIdle + 5));
        Check.Equal(BufferPool.MaxIdle, pool.Idle, "idle buffers");
    }

    private static List<byte[]> Rent(BufferPool pool, int count) => [.. Enumerable.Range(0, count).Select(_ => pool.Rent())];

    private static void Return(BufferPool pool, List<byte[]> buffers) => buffers.ForEach(pool.Return);

    private static void TrimAfter(int seconds, Clock clock, BufferPool pool)
    {
        clock.Advance(TimeSpan.FromSeconds(seconds));
        pool.Trim();
    }

    private sealed class Clock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Advance(TimeSpan time) => _ticks += time.Ticks;
    }
}
