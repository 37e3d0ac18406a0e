using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The bytes that were delivered and not yet read: a queue of payloads that lie where the socket put them. A small payload would keep
/// a whole slab alive, so it is copied into a chunk of the stream's own, behind the ones before it. Nothing is kept when all was read.
/// Not thread-safe; the read side guards it, as a field of its own.
/// </summary>
internal struct ReceivedBytes
{
    private const int LeastChunk = 1024;
    private const int MostChunk = 16 * 1024;

    private Portion? _first;
    private Portion? _last;
    private int _firstRead;
    private byte[]? _chunk;
    private int _chunkUsed;

    /// <summary>How many bytes there are.</summary>
    public int Length { get; private set; }

    /// <summary>Adds bytes. <paramref name="sparing"/>: the node has little memory left, so nothing but a full slab is kept.</summary>
    public void Add(Payload payload, Slab? slab, bool sparing)
    {
        if (payload.Length == 0)
        {
            return;
        }

        Length += payload.Length;
        if (payload.Length < (sparing ? payload.Buffer.Length / 8 * 7 : payload.Buffer.Length / 4))
        {
            AddCopy(payload);
        }
        else
        {
            slab?.Use();
            Enqueue(new Portion(payload, slab));
        }
    }

    /// <summary>The first payload, and how much of it has been read. Its bytes stay valid whatever happens to the queue.</summary>
    public readonly Payload Head(out int read)
    {
        read = _firstRead;
        return _first!.Payload;
    }

    /// <summary>Some bytes of the first payload have been read.</summary>
    public void Advance(int count)
    {
        Length -= count;
        _firstRead += count;
        if (_firstRead == _first!.Payload.Length)
        {
            _first.Slab?.Release();
            _first = _first.Next;
            _firstRead = 0;
            if (_first is null)
            {
                (_last, _chunk) = (null, null);
            }
        }
    }

    /// <summary>Takes out everything: the first payload, and how much of it has been read. It is linked to the following ones.</summary>
    public Portion? TakeAll(out int read)
    {
        var first = _first;
        read = _firstRead;
        this = default;
        return first;
    }

    /// <summary>Discards everything. A reader may be copying from a slab, so none is released.</summary>
    public void Clear() => this = default;

    private void AddCopy(Payload payload)
    {
        if (_chunk is null || _chunk.Length - _chunkUsed < payload.Length)
        {
            // What comes alone gets a chunk of its size; the more waits to be read, the larger the next.
            var size = _first is null ? payload.Length : Math.Max(payload.Length, Math.Clamp(2 * (_chunk?.Length ?? 0), LeastChunk, MostChunk));
            _chunk = GC.AllocateUninitializedArray<byte>(size);
            _chunkUsed = 0;
        }

        var start = _chunkUsed;
        _chunkUsed += payload.CopyTo(0, _chunk.AsSpan(start, payload.Length));
        if (_last is { } last && ReferenceEquals(last.Payload.Buffer, _chunk) && last.Payload.Offset + last.Payload.Length == start)
        {
            last.Payload = Whole(_chunk, last.Payload.Offset, last.Payload.Length + payload.Length);
        }
        else
        {
            Enqueue(new Portion(Whole(_chunk, start, payload.Length), null));
        }
    }

    private static Payload Whole(byte[] buffer, int offset, int length) => new(buffer, offset, length, length, length);

    private void Enqueue(Portion portion)
    {
        if (_last is null)
        {
            _first = portion;
        }
        else
        {
            _last.Next = portion;
        }

        _last = portion;
    }
}

/// <summary>A payload, and the slab in which it lies, if that is to be released when it was read.</summary>
internal sealed class Portion(Payload payload, Slab? slab)
{
    public Payload Payload { get; set; } = payload;

    public Slab? Slab { get; } = slab;

    public Portion? Next { get; set; }
}
