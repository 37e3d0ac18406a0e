using System.Threading.Tasks.Sources;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// One direction of a stream, from the engine to the reader. A read that has to wait is one reused value task source. The engine only says
/// that there is something; the bytes are taken by the reader's own thread when it fetches its result, so a read that was cancelled before
/// has taken nothing. The result is fetched once, and until then no other read may begin.
/// </summary>
/// <remarks>It is its own lock, and the stream's: nobody else has the object.</remarks>
internal sealed class ReadSide(UtpStream stream, int buffer) : Engine.IReadiness
{
    // So much at once comes in bulk: there is more behind it.
    private const int Much = 32 * 1024;

    // A window that is smaller by an eighth stalls nobody, and telling the engine of every read would cost more than the reads.
    private readonly int _reportAt = Math.Max(1, buffer / 8);
    private ReceivedBytes _bytes;
    private Wait? _wait;
    private Failure? _failure;
    private int _unreported;
    private bool _reading;
    private bool _waiting;
    private SyncWaiter _standstill;
    private bool _ended;
    private bool _disposed;
    private bool _deaf;

    bool Engine.IReadiness.IsReady
    {
        get
        {
            lock (this)
            {
                return IsReady;
            }
        }
    }

    private bool IsReady => _bytes.Length > 0 || _ended || _disposed || _failure is not null;

    public int Read(Span<byte> target, int timeoutMs)
    {
        lock (this)
        {
            Begin();
        }

        try
        {
            _standstill.Wait(this, stream, Clock.Now, timeoutMs, "read");
            return Take(target);
        }
        finally
        {
            End();
        }
    }

    public ValueTask<int> ReadAsync(Memory<byte> target, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<int>(cancellationToken);
        }

        bool ready;
        lock (this)
        {
            Begin();
            ready = IsReady;
        }

        Wait? wait = null;
        if (!ready)
        {
            stream.Engine.TryPollOnce();
            lock (this)
            {
                if (!IsReady)
                {
                    wait = _wait ??= new Wait(this);
                    _waiting = true;
                    stream.Engine.BeginWaiting();
                }
            }
        }

        if (wait is not null)
        {
            return wait.Begin(target, cancellationToken);
        }

        try
        {
            return new ValueTask<int>(Take(target.Span));
        }
        catch (Exception error)
        {
            return ValueTask.FromException<int>(error);
        }
        finally
        {
            End();
        }
    }

    /// <summary>The engine has bytes for the reader, perhaps in a slab that is to be released when they are read.</summary>
    public void Deliver(Payload payload, Slab? slab)
    {
        bool awake;
        lock (this)
        {
            if (_deaf)
            {
                return;
            }

            _bytes.Add(payload, slab);
            awake = Awaken();
            if (awake && payload.Length >= Much)
            {
                stream.Engine.ExpectCaller();
            }
        }

        Complete(awake);
    }

    /// <summary>The peer will send no more.</summary>
    public void OnEnded()
    {
        bool awake;
        lock (this)
        {
            _ended |= !_deaf;
            awake = Awaken();
        }

        Complete(awake);
    }

    /// <summary>Nothing comes any more. What was delivered can still be read, unless it is to be thrown away.</summary>
    public void Fail(Failure failure, bool discard = false)
    {
        bool awake;
        lock (this)
        {
            awake = Break(failure, discard);
        }

        Complete(awake);
    }

    /// <summary>The node closes: nothing comes any more, and what is still unread is lost. Says whether that was anything.</summary>
    public bool Close(Failure failure)
    {
        bool awake;
        bool unread;
        lock (this)
        {
            unread = _bytes.Length > 0;
            awake = Break(failure, discard: unread);
        }

        Complete(awake);
        return unread;
    }

    /// <summary>The reader is gone. Says whether it has left bytes unread.</summary>
    public bool Dispose()
    {
        bool awake;
        bool unread;
        lock (this)
        {
            unread = _bytes.Length > 0;
            _disposed = true;
            _deaf = true;
            _bytes.Clear();
            awake = Awaken();
        }

        Complete(awake);
        return unread;
    }

    /// <summary>How much the reader has taken since this was asked last.</summary>
    public int TakeReport()
    {
        lock (this)
        {
            var count = _unreported;
            _unreported = 0;
            return count;
        }
    }

    private void Begin()
    {
        ObjectDisposedException.ThrowIf(_disposed, stream);
        if (_reading)
        {
            throw new InvalidOperationException("Another read of this stream has not completed yet.");
        }

        _reading = true;
    }

    private void End()
    {
        lock (this)
        {
            _reading = false;
        }
    }

    // Payloads are copied outside the lock: the engine only ever adds behind them.
    private int Take(Span<byte> target)
    {
        var total = 0;
        var report = false;
        while (true)
        {
            Payload head;
            int read;
            lock (this)
            {
                if (total == 0)
                {
                    ThrowIfBroken();
                }

                if (_bytes.Length == 0 || total == target.Length)
                {
                    break;
                }

                head = _bytes.Head(out read);
            }

            var count = head.CopyTo(read, target[total..]);
            total += count;
            lock (this)
            {
                if (_bytes.Length > 0) // Otherwise they were thrown away meanwhile.
                {
                    _bytes.Advance(count);
                    _unreported += count;
                    report = _unreported >= _reportAt;
                }
            }
        }

        if (report)
        {
            stream.Post(inline: true);
        }

        return total;
    }

    private void ThrowIfBroken()
    {
        ObjectDisposedException.ThrowIf(_disposed, stream);
        if (_bytes.Length == 0 && !_ended && _failure is not null)
        {
            throw _failure.ToException();
        }
    }

    // Whether a read still waits; if so, it is the caller's to complete.
    private bool Withdraw()
    {
        lock (this)
        {
            return Awaken();
        }
    }

    // Under the lock. What it returns is Awaken's.
    private bool Break(Failure failure, bool discard)
    {
        _failure ??= failure;
        _deaf = true;
        if (discard)
        {
            _ended = false;
            _bytes.Clear();
        }

        return Awaken();
    }

    // Under the lock. True says that the waiting task is ours to complete, once the lock is released.
    private bool Awaken()
    {
        _standstill.Wake(this, stream.Engine);
        if (!_waiting)
        {
            return false;
        }

        _waiting = false;
        stream.Engine.EndWaiting();
        return true;
    }

    private void Complete(bool awake)
    {
        if (awake)
        {
            _wait!.Complete();
        }
    }

    /// <summary>A read that waits. Made for the first that has to, and used again by those after it.</summary>
    private sealed class Wait(ReadSide side) : IValueTaskSource<int>
    {
        private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = true };
        private CancellationTokenRegistration _cancellation;
        private Memory<byte> _target;

        // It may have been completed already, but nobody fetches the result before he has the task.
        public ValueTask<int> Begin(Memory<byte> target, CancellationToken cancellationToken)
        {
            _target = target;
            _cancellation = cancellationToken.UnsafeRegister(static (self, token) => ((Wait)self!).Cancel(token), this);
            return new ValueTask<int>(this, _source.Version);
        }

        public void Complete() => _source.SetResult(true);

        int IValueTaskSource<int>.GetResult(short token)
        {
            if (_source.GetStatus(token) == ValueTaskSourceStatus.Pending)
            {
                throw new InvalidOperationException("The read has not completed yet.");
            }

            var target = _target;
            _target = default;
            _cancellation.Dispose(); // Waits for a cancellation under way: it must not meet the next read.
            _cancellation = default;
            try
            {
                _source.GetResult(token);
                return side.Take(target.Span);
            }
            finally
            {
                _source.Reset();
                side.End();
            }
        }

        ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _source.GetStatus(token);

        void IValueTaskSource<int>.OnCompleted(
            Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _source.OnCompleted(continuation, state, token, flags);

        private void Cancel(CancellationToken cancellationToken)
        {
            if (side.Withdraw())
            {
                _source.SetException(new OperationCanceledException(cancellationToken));
            }
        }
    }
}
