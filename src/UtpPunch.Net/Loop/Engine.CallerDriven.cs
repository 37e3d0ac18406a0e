using UtpPunch.Protocol;

namespace UtpPunch;

// Users' threads that do the engine's work: for as long as a wish takes, or for as long as they wait.
internal sealed partial class Engine
{
    // Who writes is not kept busy with what others write meanwhile.
    private const int MaxInlineSteps = 2;

    // After a guest has left, it mostly comes back at once; until then nobody looks at the socket.
    private const int GraceMilliseconds = 1;
    private const long Grace = GraceMilliseconds * 1000L;

    // No wait depends on a wake that must not get lost.
    private const int LongestParking = 60_000;

    // Microseconds. To fall asleep and to wake up is part of a wait; where threads share one processor, none of them is short.
    private const long LongWait = 500;
    private const long LongestSpin = 20;
    private static readonly long ShortWait = Environment.ProcessorCount > 1 ? 50 : 0;

    // Who waits on the socket has the wheel; who holds it may ask for the turn, never the other way round.
    private readonly object _leadership = new();
    private readonly object _parking = new();
    private int _callerLeads;
    private int _waiters;
    private bool _parked;
    private bool _dozes;
    private bool _expectsCaller;
    private long _usualWait = LongWait;
    private long _callerCame;
    private long _callerLeft = long.MinValue / 2;

    /// <summary>What a guest waits for.</summary>
    internal interface IReadiness
    {
        bool IsReady { get; }
    }

    /// <summary>Whether a user's thread serves the node.</summary>
    public bool IsCallerDriven => Volatile.Read(ref _callerLeads) == 1;

    /// <summary>A read or a write begins to wait for somebody else to serve the node.</summary>
    public void BeginWaiting()
    {
        Interlocked.Increment(ref _waiters); // Who stands back looks at this after it has said so.
        if (Volatile.Read(ref _parked))
        {
            lock (_parking)
            {
                Monitor.Pulse(_parking);
            }
        }
    }

    /// <summary>It waits no more.</summary>
    public void EndWaiting() => Interlocked.Decrement(ref _waiters);

    /// <summary>A user's thread was woken for so much that it will come back and look for more itself. Belongs to the turn.</summary>
    public void ExpectCaller() => _expectsCaller = true;

    /// <summary>Takes a turn with what has come by now, if nobody waits for it. Says whether it did.</summary>
    public bool TryPollOnce()
    {
        if (HoldsLoopLock || !Monitor.TryEnter(_leadership))
        {
            return false;
        }

        try
        {
            if (Interlocked.CompareExchange(ref _callerLeads, 1, 0) != 0)
            {
                return false;
            }

            Volatile.Write(ref _callerCame, Clock.Now);
            PollAndStep(until: 0, isCaller: false); // Long ago: it waits for nothing.
        }
        finally
        {
            Monitor.Exit(_leadership);
        }

        Leave();
        return true;
    }

    /// <summary>Something that a guest waits for may be ready, by what another thread has done: it is to look.</summary>
    public void WakeCaller() => _transport.Wake();

    /// <summary>A callback may not wait for what needs another turn: nobody else could take it.</summary>
    public void ThrowIfHoldsLoopLock()
    {
        if (HoldsLoopLock)
        {
            throw new InvalidOperationException("A callback runs on the thread that serves the node: it must not wait for a stream.");
        }
    }

    /// <summary>
    /// Serves the node on the calling thread until something is ready, or until some time on the clock. False when another thread does
    /// already; then nothing was waited for.
    /// </summary>
    public bool RunUntil<T>(T what, long until)
        where T : IReadiness
    {
        if (HoldsLoopLock || Interlocked.CompareExchange(ref _callerLeads, 1, 0) != 0)
        {
            return false;
        }

        var holds = false;
        try
        {
            Volatile.Write(ref _callerCame, Clock.Now);
            Monitor.TryEnter(_leadership, ref holds);
            if (!holds)
            {
                _transport.Wake();
                Monitor.Enter(_leadership, ref holds);
            }

            while (!what.IsReady && !IsOver && Clock.Now < until)
            {
                PollAndStep(until, isCaller: true);
            }
        }
        finally
        {
            if (holds)
            {
                Monitor.Exit(_leadership);
            }

            Leave();
        }

        return true;
    }

    // A guest mostly waits for an answer. As long as answers come sooner than a thread falls asleep and wakes up again, it looks for
    // them without sleeping. Only for who has the wheel.
    private void WaitAsCaller(long microseconds)
    {
        var begun = Clock.Now;
        var spins = _usualWait < ShortWait && microseconds > LongestSpin;
        var inVain = spins && !Spin(begun);
        if (!spins || inVain)
        {
            _transport.Wait(microseconds);
        }

        // After a spin in vain it takes some short waits until the next one.
        var took = inVain ? LongWait : Math.Min(Clock.Now - begun, LongWait);
        _usualWait += (took - _usualWait) / 4;
    }

    private bool Spin(long begun)
    {
        do
        {
            if (_transport.Wait(0))
            {
                return true;
            }
        }
        while (Clock.Now - begun < LongestSpin);

        return false;
    }

    /// <summary>Takes turns until no wish is left, unless somebody is at it.</summary>
    private void StepInline()
    {
        for (var turns = 0; HasCommands && !_stopped; turns++)
        {
            if (turns == MaxInlineSteps || HoldsLoopLock || !_loopLock.TryEnter())
            {
                WakeIfAsleep(); // Whoever has the turn looks again after it; but the engine may just have looked, and be about to sleep.
                return;
            }

            bool wake;
            try
            {
                if (IsOver)
                {
                    return;
                }

                GatherAndStep(receives: false);
                wake = IsOver || Deadline < _waitingUntil;
            }
            finally
            {
                _loopLock.Exit();
            }

            if (wake)
            {
                _transport.Wake();
            }
        }
    }

    // The engine's own thread stands back while a guest serves the node, and for a moment longer. Says whether it did.
    private bool StandBy()
    {
        if (!IsCallerDriven && (Clock.Now - Volatile.Read(ref _callerLeft) >= Grace || Volatile.Read(ref _waiters) > 0))
        {
            return false;
        }

        lock (_parking)
        {
            Volatile.Write(ref _parked, true);
            Interlocked.MemoryBarrier();
            if (IsOver)
            {
                Volatile.Write(ref _parked, false);
                return true;
            }

            // A guest that comes and goes need not wake us each time; one that stays does when it leaves.
            if (IsCallerDriven && Clock.Now - Volatile.Read(ref _callerCame) >= Grace)
            {
                Volatile.Write(ref _dozes, true);
                Interlocked.MemoryBarrier(); // It looks at this after it has left; we the other way round.
                if (IsCallerDriven)
                {
                    Monitor.Wait(_parking, LongestParking);
                }

                Volatile.Write(ref _dozes, false);
            }
            else if (IsCallerDriven || Volatile.Read(ref _waiters) == 0)
            {
                Monitor.Wait(_parking, GraceMilliseconds);
            }

            Volatile.Write(ref _parked, false);
        }

        return true;
    }

    private void Leave()
    {
        Volatile.Write(ref _callerLeft, Clock.Now);
        Interlocked.Exchange(ref _callerLeads, 0);
        if (Volatile.Read(ref _dozes) || IsOver || Volatile.Read(ref _waiters) > 0)
        {
            lock (_parking)
            {
                Monitor.Pulse(_parking);
            }
        }
    }
}
