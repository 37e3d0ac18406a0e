namespace UtpPunch;

/// <summary>
/// A synchronous read or write that waits on its own thread: it serves the node, or, if another thread does that already, waits for what that
/// one says. A field of the side whose lock guards it.
/// </summary>
internal struct SyncWaiter
{
    private bool _blocked;
    private int _driver;

    /// <summary>Waits until the side is ready. Throws when that takes too long, with the name of the operation, which began at `started`.</summary>
    public void Wait<T>(T side, UtpStream stream, long started, int timeoutMs, string operation)
        where T : class, Engine.IReadiness
    {
        var engine = stream.Engine;
        lock (side)
        {
            if (side.IsReady)
            {
                return;
            }

            engine.ThrowIfHoldsLoopLock();
            _driver = Environment.CurrentManagedThreadId;
        }

        // Who waits may as well look at the socket; if another thread does, it will wake us.
        try
        {
            engine.RunUntil(side, timeoutMs == Timeout.Infinite ? long.MaxValue : started + (timeoutMs * 1000L));
        }
        finally
        {
            Volatile.Write(ref _driver, 0);
        }

        lock (side)
        {
            if (side.IsReady)
            {
                return;
            }

            _blocked = true;
            engine.BeginWaiting();
            try
            {
                while (!side.IsReady)
                {
                    var left = timeoutMs == Timeout.Infinite ? timeoutMs : Math.Max(0, timeoutMs - (int)Clock.Since(started).TotalMilliseconds);
                    if (left == 0 || (!Monitor.Wait(side, left) && !side.IsReady))
                    {
                        throw Failure.TimedOut(operation, timeoutMs, stream.RemoteEndPoint);
                    }
                }
            }
            finally
            {
                engine.EndWaiting();
                _blocked = false;
            }
        }
    }

    /// <summary>Under the side's lock: it may be ready now, and who waits is to look, wherever it waits.</summary>
    public readonly void Wake(object side, Engine engine)
    {
        if (_blocked)
        {
            Monitor.PulseAll(side);
        }

        if (_driver != 0 && _driver != Environment.CurrentManagedThreadId)
        {
            engine.WakeCaller(); // It waits on the socket, where nothing need come.
        }
    }
}
