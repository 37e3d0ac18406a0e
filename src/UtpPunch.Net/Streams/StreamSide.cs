namespace UtpPunch;

/// <summary>
/// What both sides of a stream have in common: a synchronous call that waits on its own thread. It runs the node's loop, or, if another
/// caller does that already, blocks until the side is ready. The object is its own lock.
/// </summary>
internal abstract class StreamSide(UtpStream stream) : ISyncSide
{
    private int _waiter;
    private bool _isBlocked;

    bool IReadiness.IsReady
    {
        get
        {
            lock (this)
            {
                return IsReady;
            }
        }
    }

    bool ISyncSide.BeginWait()
    {
        lock (this)
        {
            if (IsReady)
            {
                return false;
            }

            Engine.ThrowIfHoldsLoopLock();
            _waiter = Environment.CurrentManagedThreadId;
            return true;
        }
    }

    void ISyncSide.Block(long until)
    {
        lock (this)
        {
            if (IsReady)
            {
                return;
            }

            _isBlocked = true;
            try
            {
                Monitor.Wait(this, Clock.MillisecondsUntil(until));
            }
            finally
            {
                _isBlocked = false;
            }
        }
    }

    void ISyncSide.EndWait() => Volatile.Write(ref _waiter, 0);

    bool ISyncSide.TryPulse()
    {
        if (_isBlocked)
        {
            Monitor.Pulse(this);
        }

        return _isBlocked;
    }

    protected UtpStream Stream => stream;

    protected Engine Engine => stream.Engine;

    /// <summary>Whether the call that waits may go on. Under the lock.</summary>
    protected abstract bool IsReady { get; }

    /// <summary>Waits until the side is ready. Throws when the time-out has passed.</summary>
    protected void Wait(long started, int timeoutMs, string operation)
    {
        if (!Engine.WaitFor(this, timeoutMs == Timeout.Infinite ? long.MaxValue : started + (timeoutMs * 1000L)))
        {
            throw Failure.TimedOut(operation, timeoutMs, stream.RemoteEndPoint);
        }
    }

    /// <summary>The side may be ready now: a call that waits on another thread must check it. Under the lock.</summary>
    protected void WakeWaiter()
    {
        if (_waiter != 0 && _waiter != Environment.CurrentManagedThreadId)
        {
            Engine.Wake(this);
        }
    }
}
