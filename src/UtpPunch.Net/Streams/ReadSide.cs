using System.Threading.Tasks.Sources;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The side of a stream that is read. A read that has to wait is one reused value task source. The engine only completes it; the reader's
/// own thread takes the bytes when it fetches the result, so a read that was cancelled before has taken nothing. The result must be fetched
/// once, and until then no other read may begin.
/// </summary>
/// <remarks>The object is its own lock, and the stream's.</remarks>
internal sealed partial class ReadSide(UtpStream stream, int buffer) : StreamSide(stream)
{
    // A payload of this size is bulk data: more follows.
    private const int Bulk = 32 * 1024;

    // A window that is smaller by an eighth does not stall the peer; to post every read would cost more than the reads.
    private readonly int _reportAt = Math.Max(1, buffer / 8);
    private ReceivedBytes _bytes;
    private PendingRead? _pending;
    private Failure? _failure;
    private int _unreported;
    private bool _reading;
    private bool _waiting;
    private bool _ended;
    private bool _disposed;
    private bool _deaf;

    protected override bool IsReady => _bytes.Length > 0 || _ended || _disposed || _failure is not null;

    public int Read(Span<byte> target, int timeoutMs)
    {
        lock (this)
        {
            Begin(isPiped: false);
        }

        try
        {
            Wait(Clock.Now, timeoutMs, "read");
            return Take(target);
        }
        finally
        {
            End();
        }
    }

    public ValueTask<int> ReadAsync(Memory<byte> target, CancellationToken cancellationToken) => ReadAsync(target, isPiped: false, cancellationToken);

    private ValueTask<int> ReadAsync(Memory<byte> target, bool isPiped, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<int>(cancellationToken);
        }

        bool ready;
        lock (this)
        {
            Begin(isPiped);
            ready = IsReady;
        }

        PendingRead? pending = null;
        if (!ready)
        {
            Engine.TryPollOnce();
            lock (this)
            {
                if (!IsReady)
                {
                    pending = _pending ??= new PendingRead(this);
                    _waiting = true;
                    Engine.BeginWaiting();
                }
            }
        }

        if (pending is not null)
        {
            return pending.Begin(target, cancellationToken);
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

    /// <summary>The engine has bytes for the reader, perhaps in a slab that is to be released when they are read. False when they will never
    /// be read.</summary>
    public bool Deliver(Payload payload, Slab? slab)
    {
        var awake = false;
        bool isDiscarded;
        lock (this)
        {
            if (_deaf)
            {
                return payload.Length == 0;
            }

            isDiscarded = _discards;
            if (isDiscarded)
            {
                _unreported += payload.Length;
            }
            else
            {
                _bytes.Add(payload, slab, Engine.IsSparing);
                awake = Awaken();
                if (awake && payload.Length >= Bulk)
                {
                    Engine.ExpectCaller();
                }
            }
        }

        Complete(awake);
        if (isDiscarded)
        {
            Stream.Post();
        }

        return true;
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

    /// <summary>Nothing more is delivered. Delivered bytes can still be read, unless they are to be discarded.</summary>
    public void Fail(Failure failure, bool discard = false)
    {
        bool awake;
        lock (this)
        {
            awake = Break(failure, discard);
        }

        Complete(awake);
    }

    /// <summary>The node closes: nothing more is delivered, and unread bytes are lost. Returns whether there were any.</summary>
    public bool Close(Failure failure)
    {
        bool awake;
        bool unread;
        lock (this)
        {
            unread = IsUnread;
            awake = Break(failure, discard: unread);
        }

        Complete(awake);
        return unread;
    }

    /// <summary>The reader has disposed the stream. Returns whether bytes were unread.</summary>
    public bool Dispose()
    {
        bool awake;
        bool unread;
        lock (this)
        {
            unread = IsUnread;
            _disposed = true;
            _deaf = true;
            _bytes.Clear();
            awake = Awaken();
        }

        Complete(awake);
        return unread;
    }

    /// <summary>How much the reader has taken since the last call.</summary>
    public int TakeReport()
    {
        lock (this)
        {
            var count = _unreported;
            _unreported = 0;
            return count;
        }
    }

    private void Begin(bool isPiped)
    {
        ObjectDisposedException.ThrowIf(_disposed, Stream);
        if (_isPiped && !isPiped)
        {
            throw new InvalidOperationException("The stream is read through its Input.");
        }

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

    // Payloads are copied outside the lock: the engine only appends.
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
                if (_bytes.Length > 0) // Otherwise they were discarded meanwhile.
                {
                    _bytes.Advance(count);
                    _unreported += count;
                    report = _unreported >= _reportAt;
                }
            }
        }

        if (report)
        {
            Stream.Post(inline: true);
        }

        return total;
    }

    private void ThrowIfBroken()
    {
        ObjectDisposedException.ThrowIf(_disposed, Stream);
        if (_bytes.Length == 0 && !_ended && _failure is not null)
        {
            throw _failure.ToException();
        }
    }

    // Whether a read still waits; if so, the caller must complete it.
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

    // Under the lock. When it is true, the caller must complete the waiting read after it has released the lock.
    private bool Awaken()
    {
        WakeWaiter();
        if (!_waiting)
        {
            return false;
        }

        _waiting = false;
        Engine.EndWaiting();
        return true;
    }

    private void Complete(bool awake)
    {
        if (awake)
        {
            _pending!.Complete();
        }
    }

    /// <summary>A read that waits. The first that has to wait makes it; later ones use it again.</summary>
    private sealed class PendingRead(ReadSide side) : IValueTaskSource<int>
    {
        private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = true };
        private CancellationTokenRegistration _cancellation;
        private Memory<byte> _target;

        // It may have been completed already, but the result cannot be fetched before this returns.
        public ValueTask<int> Begin(Memory<byte> target, CancellationToken cancellationToken)
        {
            _target = target;
            _cancellation = cancellationToken.UnsafeRegister(static (self, token) => ((PendingRead)self!).Cancel(token), this);
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
