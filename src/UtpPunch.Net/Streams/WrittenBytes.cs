using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The bytes that were written and that the engine has not gathered yet. They are copied once, into arrays whose used part is never written
/// again: it belongs to the core. Small writes that come faster than the engine takes them share an array. Large ones get arrays that hold
/// whole packets, since a packet never spans two arrays. Nothing is kept once all was taken and acknowledged. Not thread-safe; the write
/// side guards it, as a field of its own.
/// </summary>
/// <param name="maxPayload">The payload of a full packet.</param>
/// <param name="recycles">Whether arrays whose bytes were all acknowledged are reused. Then the contents of older states must not be read.</param>
internal struct WrittenBytes(int maxPayload, bool recycles)
{
    private const int UsualChunk = BufferPool.Size;
    private const int LeastShared = 256;

    private Queue<Owned>? _full;
    private Queue<(byte[] Array, long End)>? _lent;
    private byte[]? _array;
    private int _length;
    private int _start;
    private int _end;
    private long _written;
    private bool _isLent;
    private bool _placed;

    /// <summary>The payload of a full packet.</summary>
    public int MaxPayload { get; set; } = maxPayload;

    /// <summary>The largest array: whole packets.</summary>
    public int MaxChunk => Math.Max(1, UsualChunk / MaxPayload) * MaxPayload;

    /// <summary>Room for some of the wanted bytes. The next call is <see cref="Commit"/>; the engine may take what was there meanwhile.</summary>
    public Span<byte> Place(int wanted)
    {
        var rest = _length - _end;
        var pending = _end > _start;
        if (pending ? rest == 0 : rest < wanted)
        {
            Renew(wanted);
            rest = _length;
        }

        _placed = true;
        return _array.AsSpan(_end, Math.Min(rest, wanted));
    }

    /// <summary>Marks the first <paramref name="count"/> of the placed bytes as written; 0 when the write failed.</summary>
    public void Commit(int count)
    {
        _end += count;
        _written += count;
        _placed = false;
    }

    /// <summary>Adds bytes that are not copied. With the last ones of an array the whole of it is handed over.</summary>
    public void Adopt(Owned bytes, byte[]? array)
    {
        if (bytes.Length > 0)
        {
            _full ??= new Queue<Owned>();
            if (_end > _start)
            {
                // Written before, with a copy.
                _full.Enqueue(new Owned(_array, _start, _end - _start));
                _start = _end;
            }

            _full.Enqueue(bytes);
            _written += bytes.Length;
        }

        if (array is not null && recycles)
        {
            (_lent ??= new Queue<(byte[] Array, long End)>()).Enqueue((array, _written));
        }
    }

    /// <summary>Takes out all bytes.</summary>
    public void Drain(int connId, List<Event> events)
    {
        while (_full is not null && _full.TryDequeue(out var bytes))
        {
            events.Add(Event.NewWrite(connId, bytes));
        }

        if (_end > _start)
        {
            events.Add(Event.NewWrite(connId, new Owned(_array, _start, _end - _start)));
            _start = _end;
        }

        // The rest of a small array serves the next small writes; that of a large one is not worth keeping it alive.
        if (!_placed && (_end == _length || _length > Math.Max(MaxPayload, LeastShared)))
        {
            Leave();
        }
    }

    /// <summary>All bytes of the stream up to the position <paramref name="acknowledged"/> were acknowledged.</summary>
    public void Recycle(long acknowledged)
    {
        // All of them: an idle stream holds nothing.
        var isIdle = acknowledged == _written && !_placed;
        if (isIdle)
        {
            Leave();
        }

        while (_lent is not null && _lent.TryPeek(out var oldest) && oldest.End <= acknowledged)
        {
            _lent.Dequeue();
            PipedArray.Return(oldest.Array);
        }

        if (isIdle)
        {
            (_full, _lent) = (null, null);
        }
    }

    private void Renew(int wanted)
    {
        if (_end > _start)
        {
            _full ??= new Queue<Owned>();
            _full.Enqueue(new Owned(_array, _start, _end - _start));

            // Small writes come faster than the engine takes them: let more of them share an array.
            wanted = Math.Max(wanted, Math.Max(LeastShared, 2 * _length));
        }

        Leave();
        _length = LengthFor(Math.Min(wanted, MaxChunk));
        _isLent = recycles && _length == MaxChunk;
        _array = _isLent ? BufferPool.Shared.Rent() : GC.AllocateUninitializedArray<byte>(_length);
    }

    private void Leave()
    {
        if (_isLent)
        {
            _lent ??= new Queue<(byte[] Array, long End)>();
            _lent.Enqueue((_array!, _written));
            _isLent = false;
        }

        (_array, _length, _start, _end) = (null, 0, 0, 0);
    }

    // Whole packets; but where one packet is much, a few bytes get no more than they need.
    private readonly int LengthFor(int wanted) => wanted <= MaxPayload / 2 ? wanted : (wanted + MaxPayload - 1) / MaxPayload * MaxPayload;
}
