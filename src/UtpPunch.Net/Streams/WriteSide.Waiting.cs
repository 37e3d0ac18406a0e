using System.Threading.Tasks.Sources;

namespace UtpPunch;

// A write that waits for room: an asynchronous one in a reused value task source, a synchronous one on its own thread.
internal sealed partial class WriteSide
{
    private Wait? _wait;
    private SyncWaiter _standstill;
    private int _blockedFor;

    bool Engine.IReadiness.IsReady
    {
        get
        {
            lock (this)
            {
                return IsUnblocked;
            }
        }
    }

    private bool IsUnblocked => IsBroken || Acceptable(_blockedFor) > 0;

    // Acknowledgements may have come that nobody has looked at: then there is room after all. Gives what is left.
    private ReadOnlyMemory<byte> AcceptAtAGlance(ReadOnlyMemory<byte> rest)
    {
        while (!rest.IsEmpty && _stream.Engine.TryPollOnce() && Accept(rest.Span) is > 0 and var count)
        {
            rest = rest[count..];
        }

        return rest;
    }

    // The waiting write may go on or must fail: the pool sees to it, once.
    private void GoOn()
    {
        Wait wait;
        lock (this)
        {
            if (_wait is null || !_wait.TryGoOn())
            {
                return;
            }

            wait = _wait;
        }

        if (_stream.Engine.HoldsLoopLock)
        {
            _stream.Engine.ExpectCaller();
        }

        ThreadPool.UnsafeQueueUserWorkItem(wait, preferLocal: false);
    }

    private void WaitBlocking(int wanted, long started, int timeoutMs)
    {
        lock (this)
        {
            _blockedFor = wanted;
        }

        _standstill.Wait(this, _stream, started, timeoutMs, "write");
    }

    /// <summary>A write that waits. Made for the first that has to, and used again by those after it.</summary>
    private sealed class Wait(WriteSide side) : IValueTaskSource, IThreadPoolWorkItem
    {
        private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = true };
        private CancellationTokenRegistration _cancellation;
        private CancellationToken _cancelled;
        private ReadOnlyMemory<byte> _rest;
        private State _state;
        private bool _thenSeal;

        private enum State
        {
            Idle,
            Waiting,
            Copying,
        }

        // Under the lock.
        public void Prepare(ReadOnlyMemory<byte> rest, bool thenSeal)
        {
            _rest = rest;
            _thenSeal = thenSeal;
            BeginWaiting();
        }

        public ValueTask Begin(CancellationToken cancellationToken)
        {
            _cancellation = cancellationToken.UnsafeRegister(static (self, token) => ((Wait)self!).Cancel(token), this);
            side.GoOn(); // Room may have come, or the stream may have broken, before we waited.
            return new ValueTask(this, _source.Version);
        }

        // Under the lock.
        public bool TryGoOn()
        {
            if (_state != State.Waiting || !CanGoOn)
            {
                return false;
            }

            _state = State.Copying;
            side._stream.Engine.EndWaiting();
            return true;
        }

        void IThreadPoolWorkItem.Execute()
        {
            Exception? error = null;
            while (true)
            {
                try
                {
                    _rest = side.AcceptAtAGlance(_rest[side.Accept(_rest.Span)..]);
                }
                catch (Exception caught)
                {
                    error = caught;
                }

                lock (side)
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
                side.End();
            }
        }

        ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _source.GetStatus(token);

        void IValueTaskSource.OnCompleted(
            Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _source.OnCompleted(continuation, state, token, flags);

        private bool CanGoOn => side.IsBroken || _cancelled.IsCancellationRequested || side.Acceptable(_rest.Length) > 0;

        // Under the lock.
        private void BeginWaiting()
        {
            _state = State.Waiting;
            side._stream.Engine.BeginWaiting();
        }

        private void Cancel(CancellationToken cancellationToken)
        {
            lock (side)
            {
                _cancelled = cancellationToken;
            }

            side.GoOn();
        }

        private void Complete(Exception? error)
        {
            side.EndAccepting(error is null && _thenSeal);
            if (error is null)
            {
                _source.SetResult(true);
            }
            else
            {
                _source.SetException(error);
            }
        }
    }
}
