using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The bytes that were delivered and not yet read: a queue of payloads that lie where the socket put them. A small payload would keep
/// a whole slab alive, so it is copied into a chunk of the stream's own, behind the ones before it. Not thread-safe; the read side guards it.
/// </summary>
internal sealed class ReceivedBytes
{
    private const int LeastChunk = 1024;
    private const int MostChunk = 16 * 1024;

    private (Payload Payload, Slab? Slab)[] _queue = new (Payload, Slab?)[4];
    private int _head;
    private int _count;
    private int _headRead;
    private byte[] _chunk = [];
    private int _chunkUsed;

    /// <summary>How many bytes there are.</summary>
    public int Length { get; private set; }

    public void Add(Payload payload, Slab? slab)
    {
        if (payload.Length == 0)
        {
            return;
        }

        Length += payload.Length;
        if (payload.Length < payload.Buffer.Length / 4)
        {
            AddCopy(payload);
        }
        else
        {
            slab?.Use();
            Enqueue(payload, slab);
        }
    }

    /// <summary>The first payload, and how much of it has been read. Its bytes stay valid whatever happens to the queue.</summary>
    public Payload Head(out int read)
    {
        read = _headRead;
        return _queue[_head].Payload;
    }

    /// <summary>So many bytes of the first payload have been read.</summary>
    public void Advance(int count)
    {
        Length -= count;
        _headRead += count;
        if (_headRead == _queue[_head].Payload.Length)
        {
            _queue[_head].Slab?.Release();
            _queue[_head] = default;
            _head = (_head + 1) & (_queue.Length - 1);
            _headRead = 0;
            _count--;
        }
    }

    /// <summary>Throws everything away. Somebody may be copying from a slab, so that none is released.</summary>
    public void Clear()
    {
        _queue = new (Payload, Slab?)[4];
        (_head, _count, _headRead, Length) = (0, 0, 0, 0);
        (_chunk, _chunkUsed) = ([], 0);
    }

    private void AddCopy(Payload payload)
    {
        if (_chunk.Length - _chunkUsed < payload.Length)
        {
            // The more waits to be read, the larger the chunk: an idle stream keeps a small one.
            _chunk = GC.AllocateUninitializedArray<byte>(Math.Max(payload.Length, Math.Clamp(2 * Length, LeastChunk, MostChunk)));
            _chunkUsed = 0;
        }

        var start = _chunkUsed;
        _chunkUsed += payload.CopyTo(0, _chunk.AsSpan(start, payload.Length));
        ref var last = ref _queue[(_head + _count - 1) & (_queue.Length - 1)].Payload;
        if (_count > 0 && ReferenceEquals(last.Buffer, _chunk) && last.Offset + last.Length == start)
        {
            last = Whole(_chunk, last.Offset, last.Length + payload.Length);
        }
        else
        {
            Enqueue(Whole(_chunk, start, payload.Length), null);
        }
    }

    private static Payload Whole(byte[] buffer, int offset, int length) => new(buffer, offset, length, length, length);

    private void Enqueue(Payload payload, Slab? slab)
    {
        if (_count == _queue.Length)
        {
            var larger = new (Payload, Slab?)[_queue.Length * 2];
            for (var index = 0; index < _count; index++)
            {
                larger[index] = _queue[(_head + index) & (_queue.Length - 1)];
            }

            (_queue, _head) = (larger, 0);
        }

        _queue[(_head + _count++) & (_queue.Length - 1)] = (payload, slab);
    }
}
