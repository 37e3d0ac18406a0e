using System.Diagnostics.CodeAnalysis;

namespace UtpPunch;

/// <summary>
/// The buffers of 64 KiB into which the kernel receives and writers copy. <see cref="System.Buffers.ArrayPool{T}.Shared"/> keeps 32 of them for
/// each core: many busy streams use more, and would get most of their buffers from the garbage collector. This pool keeps as many as were
/// in use, up to <see cref="MaxIdle"/>, until a collection of the oldest generation finds that fewer are needed. Thread-safe.
/// </summary>
internal sealed class BufferPool
{
    /// <summary>As large as a datagram can be, and below the limit of the large object heap.</summary>
    public const int Size = 64 * 1024;

    /// <summary>128 MiB.</summary>
    public const int MaxIdle = 2048;

    // Collections may follow one another fast.
    private static readonly TimeSpan s_trimEvery = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly Stack<byte[]> _idle = new();
    private readonly TimeProvider _time;
    private int _leastIdle;                             // since the last trim: these were not needed
    private long _trimmedAt;

    public BufferPool(TimeProvider time)
    {
        _time = time;
        _trimmedAt = time.GetTimestamp();
    }

    /// <summary>That of all nodes.</summary>
    public static BufferPool Shared { get; } = CreateShared();

    public int Idle
    {
        get
        {
            lock (_lock)
            {
                return _idle.Count;
            }
        }
    }

    /// <summary>A buffer of <see cref="Size"/> bytes, with any content. One that is not returned is collected as garbage.</summary>
    public byte[] Rent()
    {
        lock (_lock)
        {
            if (_idle.TryPop(out var buffer))
            {
                _leastIdle = Math.Min(_leastIdle, _idle.Count);
                return buffer;
            }

            _leastIdle = 0;
        }

        return GC.AllocateUninitializedArray<byte>(Size);
    }

    public void Return(byte[] buffer)
    {
        lock (_lock)
        {
            if (_idle.Count < MaxIdle)
            {
                _idle.Push(buffer);
            }
        }
    }

    /// <summary>Drops the buffers that were not used since the last time, unless that was a moment ago.</summary>
    public void Trim()
    {
        lock (_lock)
        {
            if (_time.GetElapsedTime(_trimmedAt) < s_trimEvery)
            {
                return;
            }

            for (var left = _leastIdle; left > 0; left--)
            {
                _idle.Pop();
            }

            _idle.TrimExcess();
            _leastIdle = _idle.Count;
            _trimmedAt = _time.GetTimestamp();
        }
    }

    private static BufferPool CreateShared()
    {
        var pool = new BufferPool(TimeProvider.System);
        _ = new Trimmer(pool);
        return pool;
    }

    /// <summary>Garbage that lives on: once it is in the oldest generation, its finalizer runs after each collection of that.</summary>
    private sealed class Trimmer(BufferPool pool)
    {
        [SuppressMessage("Design", "MA0055", Justification = "The platform has no other way to learn of a collection.")]
        ~Trimmer()
        {
            pool.Trim();
            if (!Environment.HasShutdownStarted)
            {
                GC.ReRegisterForFinalize(this);
            }
        }
    }
}
