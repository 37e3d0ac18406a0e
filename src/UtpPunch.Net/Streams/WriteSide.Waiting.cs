using System.Threading.Tasks.Sources;

namespace UtpPunch;

// A write that waits for room: an asynchronous one in a reused value task source, a synchronous one on its own thread.
internal sealed partial class WriteSide : IValueTaskSource, IThreadPoolWorkItem
{
    private enum State
    {
        Idle,
        Waiting,
        Copying,
    }

    private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _cancellation;
    private CancellationToken _cancelled;
    private ReadOnlyMemory<byte> _rest;
    private State _state;
    private bool _thenSeal;
    private bool _blocked;
    private int _driver;
    private int _blockedFor;

    void IThreadPoolWorkItem.Execute()
    {
        Exception? error = null;
        while (true)
        {
            try
            {
                _rest = _rest[Accept(_rest.Span)..];
                AcceptAtAGlance();
            }
            catch (Exception caught)
            {
                error = caught;
            }

            lock (_gate)
            {
                if (error is null && !_rest.IsEmpty)
                {
                    if (!CanGoOn)
                    {
                        BeginWaiting();
                        return;
                    }

                    if (!_cancelled.IsCancellationRequested)
                    {
                        continue;
                    }

                    error = new OperationCanceledException(_cancelled);
                }

                _state = State.Idle;
            }

            Complete(error);
            return;
        }
    }

    // Acknowledgements may have come that nobody has looked at: then there is room after all.
    private void AcceptAtAGlance()
    {
        while (!_rest.IsEmpty && _stream.Engine.Glance() && Accept(_rest.Span) is > 0 and var count)
        {
            _rest = _rest[count..];
        }
    }

    void IValueTaskSource.GetResult(short token)
    {
        if (_source.GetStatus(token) == ValueTaskSourceStatus.Pending)
        {
            throw new InvalidOperationException("The write has not completed yet.");
        }

        _cancellation.Dispose(); // Waits for a cancellation under way: it must not meet the next write.
        _cancellation = default;
        _cancelled = default;
        _rest = default;
        try
        {
            _source.GetResult(token);
        }
        finally
        {
            _source.Reset();
            End();
        }
    }

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    bool Engine.IReadiness.IsReady
    {
        get
        {
            lock (_gate)
            {
                return IsUnblocked;
            }
        }
    }

    private bool IsUnblocked => IsBroken || Acceptable(_blockedFor) > 0;

    private bool CanGoOn => IsBroken || _cancelled.IsCancellationRequested || Acceptable(_rest.Length) > 0;

    // Under the lock.
    private void BeginWaiting()
    {
        _state = State.Waiting;
        _stream.Engine.BeginWaiting();
    }

    // The waiting write may go on or must fail: the pool sees to it, once.
    private void GoOn()
    {
        lock (_gate)
        {
            if (_state != State.Waiting || !CanGoOn)
            {
                return;
            }

            _state = State.Copying;
            _stream.Engine.EndWaiting();
        }

        if (_stream.Engine.HasTurn)
        {
            _stream.Engine.ExpectGuest();
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    // Under the lock: a synchronous write that waits is to look again, wherever it waits.
    private void Unblock()
    {
        if (_blocked)
        {
            Monitor.PulseAll(_gate);
        }

        if (_driver != 0 && _driver != Environment.CurrentManagedThreadId)
        {
            _stream.Engine.WakeGuest();
        }
    }

    private void Cancel(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            _cancelled = cancellationToken;
        }

        GoOn();
    }

    private void Complete(Exception? error)
    {
        EndAccepting(error is null && _thenSeal);
        if (error is null)
        {
            _source.SetResult(true);
        }
        else
        {
            _source.SetException(error);
        }
    }

    private void WaitBlocking(int wanted, long started, int timeoutMs)
    {
        lock (_gate)
        {
            _blockedFor = wanted;
            if (IsUnblocked)
            {
                return;
            }

            _stream.Engine.ThrowIfInTurn();
            _driver = Environment.CurrentManagedThreadId;
        }

        try
        {
            _stream.Engine.Drive(this, timeoutMs == Timeout.Infinite ? long.MaxValue : started + (timeoutMs * 1000L));
        }
        finally
        {
            Volatile.Write(ref _driver, 0);
        }

        lock (_gate)
        {
            if (IsUnblocked)
            {
                return;
            }

            _blocked = true;
            _stream.Engine.BeginWaiting();
            try
            {
                while (!IsUnblocked)
                {
                    var left = timeoutMs == Timeout.Infinite ? timeoutMs : Math.Max(0, timeoutMs - (int)Clock.Since(started).TotalMilliseconds);
                    if (left == 0 || (!Monitor.Wait(_gate, left) && !IsUnblocked))
                    {
                        throw Failure.TimedOut("write", timeoutMs, _stream.RemoteEndPoint);
                    }
                }
            }
            finally
            {
                _stream.Engine.EndWaiting();
                _blocked = false;
            }
        }
    }
}
