using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The side of a stream that is written. A write completes when the send buffer has taken all of it. One that has to wait for room is one
/// reused value task source; when there is room, a thread of the pool copies the next part.
/// </summary>
/// <remarks>The object is its own lock.</remarks>
internal sealed partial class WriteSide : StreamSide
{
    // How much of a large write is copied before it is posted.
    private const int SentAtOnce = 256 * 1024;

    private readonly int _buffer;
    private int _maxPayload;
    private int _least;
    private WrittenBytes _bytes;
    private FlushWaiters? _drains;
    private Failure? _failure;

    // Counted from the stream's first byte: what the send buffer may have taken by now, what it has taken, what the core has seen of that,
    // and what the peer has acknowledged.
    private long _limit;
    private long _accepted;
    private long _entered;
    private long _acknowledged;

    // What of that counts in the node's memory.
    private long _held;
    private bool _writing;
    private bool _accepting;
    private bool _sealed;
    private bool _finishSent;
    private bool _disposed;

    public WriteSide(UtpStream stream, int buffer, int maxPayload)
        : base(stream)
    {
        _buffer = buffer;
        _maxPayload = maxPayload;
        _bytes = new WrittenBytes(maxPayload, !Engine.Tracing.KeepsContent);

        _least = LeastRoom();
        _limit = buffer;
    }

    // A large write goes on when there is room for a good part, rather than for every acknowledged packet.
    private int LeastRoom() => Math.Max(1, Math.Min(_buffer / 4, _bytes.MaxChunk));

    /// <summary>Whether the writer has completed the writes.</summary>
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

                WaitForRoom(source.Length, started, timeoutMs);
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
            source = AcceptPolling(source[Accept(source.Span)..]);
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

        PendingWrite pending;
        lock (this)
        {
            pending = _pending ??= new PendingWrite(this);
            pending.Prepare(source, thenSeal);
        }

        return pending.Begin(cancellationToken);
    }

    /// <summary>Nothing more will be written; a pending write may still complete.</summary>
    public void Seal()
    {
        lock (this)
        {
            ObjectDisposedException.ThrowIf(_disposed, Stream);
            _sealed = true;
        }

        Stream.Post();
    }

    /// <summary>Completes when the peer has acknowledged all that was written up to now.</summary>
    public Task DrainAsync(CancellationToken cancellationToken)
    {
        lock (this)
        {
            ObjectDisposedException.ThrowIf(_disposed, Stream);
            if (_acknowledged >= _accepted)
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

    /// <summary>Adds what was written, and the end when it has come, to the events of a step. Under the loop lock.</summary>
    public void Collect(int connId, List<Event> events)
    {
        lock (this)
        {
            if (_failure is null)
            {
                TakePipedWithin();
            }

            _bytes.Drain(connId, events);
            _entered = _accepted;
            if (_sealed && !_accepting && !HasPiped && !_finishSent)
            {
                _finishSent = true;
                events.Add(Event.NewFinish(connId));
            }
        }
    }

    /// <summary>The payload of a full packet has changed: later writes are cut accordingly. Under the loop lock.</summary>
    public void OnSized(int maxPayload)
    {
        lock (this)
        {
            _maxPayload = maxPayload;
            _bytes.MaxPayload = maxPayload;
            _least = LeastRoom();
        }
    }

    /// <summary>The core has room for more bytes than it has told, and holds some that are not acknowledged. Under the loop lock.</summary>
    public void OnWritable(int room, int unacknowledged)
    {
        bool isResumed;
        lock (this)
        {
            _limit = _entered + room;
            _acknowledged = _entered - unacknowledged;
            Hold();
            _bytes.Recycle(_acknowledged);
            CompleteDrains(_acknowledged);
            WakeWaiter();
            isResumed = ResumePipe();
        }

        if (isResumed)
        {
            Stream.Post();
        }

        Resume();
    }

    /// <summary>The peer has acknowledged the end.</summary>
    public void OnFinished()
    {
        lock (this)
        {
            _acknowledged = _entered;
            Hold();
            CompleteDrains(long.MaxValue);
        }
    }

    /// <summary>Nothing can be written any more.</summary>
    public void Fail(Failure failure)
    {
        lock (this)
        {
            _failure ??= failure;
            Hold();
            _drains?.Fail(_failure.ToException());
            WakeWaiter();
            ResumePipe();
        }

        Resume();
    }

    /// <summary>The writer has disposed the stream; what it has written is still sent.</summary>
    public void Dispose()
    {
        lock (this)
        {
            _disposed = true;
            _sealed = true;
            _drains?.Fail(new ObjectDisposedException(typeof(UtpStream).FullName));
            WakeWaiter();
            ResumePipe();
        }

        Resume();
    }

    /// <summary>Whether nothing can be written any more. Under the lock.</summary>
    public bool IsBroken => _disposed || _failure is not null;

    private long Outstanding => _accepted - _acknowledged;

    private void Hold()
    {
        var held = _failure is null ? Outstanding : 0;
        if (held != _held)
        {
            Engine.SendMemory.Add(held - _held);
            _held = held;
        }
    }

    private void Begin()
    {
        lock (this)
        {
            ObjectDisposedException.ThrowIf(_disposed, Stream);
            if (_sealed)
            {
                throw new InvalidOperationException("The writes of this stream were completed.");
            }

            if (_isPiped)
            {
                throw new InvalidOperationException("The stream is written through its Output.");
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

    // The pending write ends; an end that was waiting for it may follow.
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
            Stream.Post();
        }
    }

    // Takes as much as there is room for. The bytes are copied outside the lock, since only one write at a time places any.
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

                // A small write with data in flight is not stepped at once: small writes that follow share its step and its packets (Nagle).
                inline |= taken == 0 && _acknowledged >= _accepted;
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
                Hold();
            }

            // Sent while it is still in the processor's cache.
            if (taken - posted >= SentAtOnce)
            {
                posted = taken;
                Stream.Post(inline);
            }
        }

        if (taken > posted)
        {
            Stream.Post(inline);
        }

        return taken;
    }

    private int Acceptable(int wanted)
    {
        var room = (int)Math.Min(int.MaxValue, _limit - _accepted);
        if (wanted <= room && wanted <= Engine.SendMemory.RoomFor(Outstanding))
        {
            return wanted;
        }

        var shared = Engine.SendMemory.RoomFor(Outstanding);
        if (shared < room)
        {
            // The node has little memory left: what there is, as soon as the peer has acknowledged a part.
            var most = (int)Math.Min(wanted, Math.Max(0, shared));
            return most >= Math.Min(wanted, Engine.SendMemory.OwnShare / 4) ? most : 0;
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
        ObjectDisposedException.ThrowIf(_disposed, Stream);
        if (_failure is not null)
        {
            throw _failure.ToException();
        }
    }
}
