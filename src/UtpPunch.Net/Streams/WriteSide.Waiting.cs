using System.Threading.Tasks.Sources;

namespace UtpPunch;

// A write that waits for room: an asynchronous one in a reused value task source, a synchronous one on its own thread.
internal sealed partial class WriteSide
{
    private PendingWrite? _pending;
    private int _blockedFor;

    protected override bool IsReady => IsBroken || Acceptable(_blockedFor) > 0;

    // Acknowledgements may wait in the socket while the loop has no leader. Returns the rest.
    private ReadOnlyMemory<byte> AcceptPolling(ReadOnlyMemory<byte> rest)
    {
        while (!rest.IsEmpty && Engine.TryPollOnce() && Accept(rest.Span) is > 0 and var count)
        {
            rest = rest[count..];
        }

        return rest;
    }

    // The waiting write may go on or must fail: queues it to the thread pool, once.
    private void Resume()
    {
        PendingWrite pending;
        lock (this)
        {
            if (_pending is null || !_pending.TryResume())
            {
                return;
            }

            pending = _pending;
        }

        if (Engine.HoldsLoopLock)
        {
            Engine.ExpectCaller();
        }

        ThreadPool.UnsafeQueueUserWorkItem(pending, preferLocal: false);
    }

    private void WaitForRoom(int wanted, long started, int timeoutMs)
    {
        lock (this)
        {
            _blockedFor = wanted;
        }

        Wait(started, timeoutMs, "write");
    }

    /// <summary>A write that waits. The first that has to wait makes it; later ones use it again.</summary>
    private sealed class PendingWrite(WriteSide side) : IValueTaskSource, IThreadPoolWorkItem
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
            _cancellation = cancellationToken.UnsafeRegister(static (self, token) => ((PendingWrite)self!).Cancel(token), this);
            side.Resume(); // Room may have come, or the stream may have broken, before we waited.
            return new ValueTask(this, _source.Version);
        }

        // Under the lock.
        public bool TryResume()
        {
            if (_state != State.Waiting || !CanResume)
            {
                return false;
            }

            _state = State.Copying;
            side.Engine.EndWaiting();
            return true;
        }

        void IThreadPoolWorkItem.Execute()
        {
            Exception? error = null;
            while (true)
            {
                try
                {
                    _rest = side.AcceptPolling(_rest[side.Accept(_rest.Span)..]);
                }
                catch (Exception caught)
                {
                    error = caught;
                }

                lock (side)
                {
                    if (error is null && !_rest.IsEmpty)
                    {
                        if (!CanResume)
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

        private bool CanResume => side.IsBroken || _cancelled.IsCancellationRequested || side.Acceptable(_rest.Length) > 0;

        // Under the lock.
        private void BeginWaiting()
        {
            _state = State.Waiting;
            side.Engine.BeginWaiting();
        }

        private void Cancel(CancellationToken cancellationToken)
        {
            lock (side)
            {
                _cancelled = cancellationToken;
            }

            side.Resume();
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
