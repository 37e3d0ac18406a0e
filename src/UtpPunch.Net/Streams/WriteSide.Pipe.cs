using UtpPunch.Protocol;

namespace UtpPunch;

// What the pipe of a stream needs of its write side: bytes that were flushed and have no room in the send buffer wait here, and enter it as
// the peer acknowledges what is before them. From its first flush on, the stream is written through the pipe only.
internal sealed partial class WriteSide
{
    private SendPipe? _pipe;
    private Queue<PipedArray>? _piped;
    private int _pipedTaken; // of the first array
    private bool _isPiped;

    public SendPipe Pipe
    {
        get
        {
            lock (this)
            {
                return _pipe ??= new SendPipe(Stream, this);
            }
        }
    }

    /// <summary>Whether flushed bytes wait for room. Under the lock, or when nothing more is flushed.</summary>
    public bool HasPiped => _piped is { Count: > 0 };

    /// <summary>How much of an array of that size is whole packets, which never span two arrays; all of it if it is smaller than one.</summary>
    public int WholePackets(int length) => length >= _maxPayload ? length / _maxPayload * _maxPayload : length;

    /// <summary>Takes what the pipe's writer has flushed. Under the lock; a step must follow.</summary>
    /// <param name="arrays">In their order.</param>
    /// <param name="count">How many bytes they have.</param>
    /// <param name="inline">Whether the caller may step itself.</param>
    /// <returns>Whether there is room for all of it.</returns>
    public bool Commit(List<PipedArray> arrays, int count, out bool inline)
    {
        ThrowIfBroken();
        if (_sealed)
        {
            throw new InvalidOperationException("The writes of this stream were completed.");
        }

        if (_writing)
        {
            throw new InvalidOperationException("Another write to this stream has not completed yet.");
        }

        _isPiped = true;
        inline = count >= _maxPayload || _acknowledged >= _accepted;
        foreach (var array in arrays)
        {
            (_piped ??= new Queue<PipedArray>()).Enqueue(array);
        }

        return TakePipedWithin();
    }

    /// <summary>Takes as much as there is room for. Returns whether that is all.</summary>
    public bool TakePiped()
    {
        bool isAll;
        lock (this)
        {
            ThrowIfBroken();
            isAll = TakePipedWithin();
        }

        Stream.Post();
        return isAll;
    }

    /// <summary>The stream was disposed while flushed bytes waited for room: true when nothing new was acknowledged since the last call.</summary>
    public bool IsStalled(ref long acknowledged)
    {
        lock (this)
        {
            var before = acknowledged;
            acknowledged = _acknowledged;
            return HasPiped && acknowledged == before;
        }
    }

    // Under the lock.
    private bool TakePipedWithin()
    {
        while (HasPiped)
        {
            var head = _piped!.Peek().From(_pipedTaken);
            var count = head.Length == 0 ? 0 : Acceptable(head.Length);
            if (count == 0 && head.Length > 0)
            {
                break;
            }

            var isWhole = count == head.Length;
            _bytes.Adopt(new Owned(head.Array, head.Start, count), isWhole && head.IsLast ? head.Array : null);
            _accepted += count;
            Hold();
            _pipedTaken += count;
            if (isWhole)
            {
                _ = _piped.Dequeue();
                _pipedTaken = 0;
            }
        }

        return !HasPiped;
    }

    // Under the lock: there is room, or the stream has broken or was disposed. What was flushed before it was disposed is still sent. Returns
    // whether a step is to take bytes.
    private bool ResumePipe()
    {
        if (_pipe is null)
        {
            return false;
        }

        if (_failure is not null)
        {
            (_piped, _pipedTaken) = (null, 0);
            _pipe.Wake(_failure.ToException());
            return false;
        }

        var hadPiped = HasPiped;
        var isAll = TakePipedWithin();
        if (_disposed && _pipe.IsWaiting)
        {
            _pipe.Wake(new ObjectDisposedException(typeof(UtpStream).FullName));
        }
        else if (isAll && !_disposed)
        {
            _pipe.Wake(null);
        }

        if (isAll && _acknowledged >= _accepted && _pipe.Rest() is { } array)
        {
            _bytes.Adopt(Owned.Empty, array);
            _bytes.Recycle(_acknowledged);
        }

        return hadPiped;
    }
}
