using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// One direction of a stream, from the writer to the engine. A write completes when the send buffer has taken all of it. One that has to
/// wait for room is one reused value task source; when there is room, a thread of the pool copies the next part, never the engine's.
/// </summary>
/// <remarks>It is its own lock: nobody else has the object.</remarks>
internal sealed partial class WriteSide : Engine.IReadiness
{
    // Of a large write.
    private const int SentAtOnce = 256 * 1024;

    private readonly UtpStream _stream;
    private readonly int _buffer;
    private int _maxPayload;
    private int _least;
    private WrittenBytes _bytes;
    private FlushWaiters? _drains;
    private Failure? _failure;

    // Counted from the stream's first byte: what the send buffer may have taken by now, what it has taken, what the core has seen of that.
    private long _limit;
    private long _accepted;
    private long _entered;
    private bool _writing;
    private bool _accepting;
    private bool _sealed;
    private bool _finishSent;
    private bool _disposed;

    public WriteSide(UtpStream stream, int buffer, int maxPayload)
    {
        _stream = stream;
        _buffer = buffer;
        _maxPayload = maxPayload;
        _bytes = new WrittenBytes(maxPayload, !stream.Engine.KeepsContent);

        _least = LeastRoom();
        _limit = buffer;
    }

    // A large write goes on when there is room for a good part, rather than for every acknowledged packet.
    private int LeastRoom() => Math.Max(1, Math.Min(_buffer / 4, _bytes.MaxChunk));

    /// <summary>Whether nothing may be written any more by the writer's own decision.</summary>
    public bool IsSealed
    {
        get
        {
            lock (this)
            {
                return _sealed;
            }
        }
    }

    public void Write(ReadOnlySpan<byte> source, int timeoutMs)
    {
        Begin();
        var started = Clock.Now;
        try
        {
            while (true)
            {
                source = source[Accept(source)..];
                if (source.IsEmpty)
                {
                    return;
                }

                WaitBlocking(source.Length, started, timeoutMs);
            }
        }
        finally
        {
            EndAccepting();
            End();
        }
    }

    public ValueTask WriteAsync(ReadOnlyMemory<byte> source, bool thenSeal, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }

        Begin();
        try
        {
            source = AcceptAtAGlance(source[Accept(source.Span)..]);
            if (source.IsEmpty)
            {
                EndAccepting(thenSeal);
                End();
                return default;
            }
        }
        catch (Exception error)
        {
            EndAccepting();
            End();
            return ValueTask.FromException(error);
        }

        Wait wait;
        lock (this)
        {
            wait = _wait ??= new Wait(this);
            wait.Prepare(source, thenSeal);
        }

        return wait.Begin(cancellationToken);
    }

    /// <summary>Nothing more will be written; a write under way may still complete.</summary>
    public void Seal()
    {
        lock (this)
        {
            ObjectDisposedException.ThrowIf(_disposed, _stream);
            _sealed = true;
        }

        _stream.Post();
    }

    /// <summary>Completes when the peer has acknowledged all that was written up to now.</summary>
    public Task DrainAsync(CancellationToken cancellationToken)
    {
        lock (this)
        {
            ObjectDisposedException.ThrowIf(_disposed, _stream);
            if (Acknowledged >= _accepted)
            {
                return Task.CompletedTask;
            }

            if (_failure is not null)
            {
                return Task.FromException(_failure.ToException());
            }

            return (_drains ??= new FlushWaiters()).Until(_accepted).WaitAsync(cancellationToken);
        }
    }

    /// <summary>Hands to the core what was written, and the end when it has come. On the engine's thread.</summary>
    public void Collect(int connId, List<Event> events)
    {
        lock (this)
        {
            _bytes.Drain(connId, events);
            _entered = _accepted;
            if (_sealed && !_accepting && !_finishSent)
            {
                _finishSent = true;
                events.Add(Event.NewFinish(connId));
            }
        }
    }

    /// <summary>A packet carries so many bytes from here on: what is written is cut accordingly. On the engine's thread.</summary>
    public void OnSized(int maxPayload)
    {
        lock (this)
        {
            _maxPayload = maxPayload;
            _bytes.MaxPayload = maxPayload;
            _least = LeastRoom();
        }
    }

    /// <summary>The core's send buffer has so much room after all that it has seen. On the engine's thread.</summary>
    public void OnWritable(int room)
    {
        lock (this)
        {
            _limit = _entered + room;
            _bytes.Recycle(Acknowledged);
            CompleteDrains(Acknowledged);
            _standstill.Wake(this, _stream.Engine);
        }

        GoOn();
    }

    /// <summary>The peer has acknowledged the end.</summary>
    public void OnFinished()
    {
        lock (this)
        {
            _limit = _entered + _buffer;
            CompleteDrains(long.MaxValue);
        }
    }

    /// <summary>Nothing can be written any more.</summary>
    public void Fail(Failure failure)
    {
        lock (this)
        {
            _failure ??= failure;
            _drains?.Fail(_failure.ToException());
            _standstill.Wake(this, _stream.Engine);
        }

        GoOn();
    }

    /// <summary>The writer is gone; what it has written is still sent.</summary>
    public void Dispose()
    {
        lock (this)
        {
            _disposed = true;
            _sealed = true;
            _drains?.Fail(new ObjectDisposedException(typeof(UtpStream).FullName));
            _standstill.Wake(this, _stream.Engine);
        }

        GoOn();
    }

    private long Acknowledged => _limit - _buffer;

    private bool IsBroken => _disposed || _failure is not null;

    private void Begin()
    {
        lock (this)
        {
            ObjectDisposedException.ThrowIf(_disposed, _stream);
            if (_sealed)
            {
                throw new InvalidOperationException("The writes of this stream were completed.");
            }

            if (_writing)
            {
                throw new InvalidOperationException("Another write to this stream has not completed yet.");
            }

            _writing = true;
            _accepting = true;
        }
    }

    private void End()
    {
        lock (this)
        {
            _writing = false;
        }
    }

    // The write under way gets no further; an end that was waiting for it may follow.
    private void EndAccepting(bool thenSeal = false)
    {
        bool post;
        lock (this)
        {
            _accepting = false;
            _sealed |= thenSeal;
            post = _sealed;
        }

        if (post)
        {
            _stream.Post();
        }
    }

    // Takes as much as there is room for. The bytes are copied outside the lock: nobody else places any.
    private int Accept(ReadOnlySpan<byte> source)
    {
        var taken = 0;
        var posted = 0;
        var inline = source.Length >= _maxPayload;
        while (true)
        {
            Span<byte> place;
            lock (this)
            {
                ThrowIfBroken();

                // What is little waits for company while something is under way: the engine's thread will see to all of it at once.
                inline |= taken == 0 && Acknowledged >= _accepted;
                var count = Acceptable(source.Length - taken);
                if (count == 0)
                {
                    break;
                }

                place = _bytes.Place(count);
            }

            source.Slice(taken, place.Length).CopyTo(place);
            taken += place.Length;
            lock (this)
            {
                _bytes.Commit(IsBroken ? 0 : place.Length);
                ThrowIfBroken();
                _accepted += place.Length;
            }

            // What was copied just now is still in the cache when it is sent.
            if (taken - posted >= SentAtOnce)
            {
                posted = taken;
                _stream.Post(inline);
            }
        }

        if (taken > posted)
        {
            _stream.Post(inline);
        }

        return taken;
    }

    private int Acceptable(int wanted)
    {
        var room = (int)Math.Min(int.MaxValue, _limit - _accepted);
        if (wanted <= room)
        {
            return wanted;
        }

        if (room < _least)
        {
            return 0;
        }

        var whole = room / _maxPayload * _maxPayload;
        return whole > 0 ? whole : room;
    }

    private void CompleteDrains(long acknowledged)
    {
        if (_drains is not null && _drains.Complete(acknowledged))
        {
            _drains = null;
        }
    }

    private void ThrowIfBroken()
    {
        ObjectDisposedException.ThrowIf(_disposed, _stream);
        if (_failure is not null)
        {
            throw _failure.ToException();
        }
    }
}
