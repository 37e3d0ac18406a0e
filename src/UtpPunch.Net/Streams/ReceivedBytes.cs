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
            Enqueue(new Portion(payload, slab, isChunk: false));
        }
    }

    /// <summary>The first payload, and how much of it has been read. Its bytes stay valid whatever happens to the queue.</summary>
    public readonly Payload Head(out int read)
    {
        read = _firstRead;
        return _first!.Payload;
    }

    /// <summary>So many bytes of the first payload have been read.</summary>
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
                _last = null;
            }
        }
    }

    /// <summary>Throws everything away. Somebody may be copying from a slab, so that none is released.</summary>
    public void Clear() => this = default;

    private void AddCopy(Payload payload)
    {
        if (_last is { IsChunk: true } last && last.Payload.Buffer.Length - last.Payload.Length >= payload.Length)
        {
            var length = last.Payload.Length + payload.CopyTo(0, last.Payload.Buffer.AsSpan(last.Payload.Length, payload.Length));
            last.Payload = Start(last.Payload.Buffer, length);
            return;
        }

        // What comes alone gets a chunk of its size; the more waits to be read, the larger the chunk.
        var size = _first is null ? payload.Length : Math.Max(payload.Length, Math.Clamp(2 * Length, LeastChunk, MostChunk));
        var chunk = GC.AllocateUninitializedArray<byte>(size);
        Enqueue(new Portion(Start(chunk, payload.CopyTo(0, chunk)), null, isChunk: true));
    }

    private static Payload Start(byte[] buffer, int length) => new(buffer, 0, length, length, length);

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

    private sealed class Portion(Payload payload, Slab? slab, bool isChunk)
    {
        public Payload Payload { get; set; } = payload;

        public Slab? Slab { get; } = slab;

        /// <summary>Whether the buffer is ours, and what lies behind the payload in it free.</summary>
        public bool IsChunk { get; } = isChunk;

        public Portion? Next { get; set; }
    }
}
