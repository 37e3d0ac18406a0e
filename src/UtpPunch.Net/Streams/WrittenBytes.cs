using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The bytes that were written and that the engine has not seen yet. They are copied once, into arrays whose used part is never written
/// again: it belongs to the core. Small writes share an array. Large ones get arrays that hold whole packets, since a packet never spans
/// two arrays. Not thread-safe; the write side guards it.
/// </summary>
internal sealed class WrittenBytes(int maxPayload)
{
    private const int UsualChunk = 64 * 1024;
    private const int SmallChunk = 2 * 1024;

    private readonly Queue<Bytes> _full = new();
    private byte[] _array = [];
    private int _start;
    private int _end;
    private bool _placed;

    /// <summary>What a full packet carries.</summary>
    public int MaxPayload { get; set; } = maxPayload;

    /// <summary>The largest array: whole packets.</summary>
    public int MaxChunk => Math.Max(1, UsualChunk / MaxPayload) * MaxPayload;

    /// <summary>Room for some of the wanted bytes. The next call is <see cref="Commit"/>; the engine may take what was there meanwhile.</summary>
    public Span<byte> Place(int wanted)
    {
        var rest = _array.Length - _end;
        var pending = _end > _start;
        if (pending ? rest == 0 : rest < wanted)
        {
            Renew(wanted);
            rest = _array.Length;
        }

        _placed = true;
        return _array.AsSpan(_end, Math.Min(rest, wanted));
    }

    /// <summary>So many of the placed bytes were written; none when the write failed.</summary>
    public void Commit(int count)
    {
        _end += count;
        _placed = false;
    }

    /// <summary>Takes out all bytes.</summary>
    public void Drain(int connId, List<Event> events)
    {
        while (_full.TryDequeue(out var bytes))
        {
            events.Add(Event.NewWrite(connId, bytes));
        }

        if (_end > _start)
        {
            events.Add(Event.NewWrite(connId, new Bytes(_array, _start, _end - _start)));
            _start = _end;
        }

        // The rest of a small array serves the next small writes; that of a large one is not worth keeping it alive.
        if (!_placed && (_end == _array.Length || _array.Length > Math.Max(MaxPayload, SmallChunk)))
        {
            (_array, _start, _end) = ([], 0, 0);
        }
    }

    private void Renew(int wanted)
    {
        if (_end > _start)
        {
            _full.Enqueue(new Bytes(_array, _start, _end - _start));

            // Small writes come faster than the engine takes them: let more of them share an array.
            wanted = Math.Max(wanted, 2 * _array.Length);
        }

        _array = GC.AllocateUninitializedArray<byte>(LengthFor(Math.Min(wanted, MaxChunk)));
        (_start, _end) = (0, 0);
    }

    // Whole packets; but where one packet is much, a few bytes get less than that.
    private int LengthFor(int wanted) => wanted <= MaxPayload / 2
        ? Math.Min(MaxPayload, Math.Max(wanted, SmallChunk))
        : (wanted + MaxPayload - 1) / MaxPayload * MaxPayload;
}
