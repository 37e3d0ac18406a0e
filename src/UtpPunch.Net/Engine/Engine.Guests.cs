using UtpPunch.Protocol;

namespace UtpPunch;

// Users' threads that do the engine's work: for as long as a wish takes, or for as long as they wait.
internal sealed partial class Engine
{
    // Who writes is not kept busy with what others write meanwhile.
    private const int MaxHurriedTurns = 2;

    // After a guest has left, it mostly comes back at once; until then nobody looks at the socket.
    private const int GraceMilliseconds = 1;
    private const long Grace = GraceMilliseconds * 1000L;

    // No wait depends on a wake that must not get lost.
    private const int LongestParking = 60_000;

    // Who waits on the socket has the wheel; who holds it may ask for the turn, never the other way round.
    private readonly object _wheel = new();
    private readonly object _parking = new();
    private int _guest;
    private int _parked;
    private int _waiters;
    private long _guestCame;
    private long _guestLeft = long.MinValue / 2;

    /// <summary>What a guest waits for.</summary>
    internal interface IReadiness
    {
        bool IsReady { get; }
    }

    /// <summary>Whether a user's thread serves the node.</summary>
    public bool HasGuest => Volatile.Read(ref _guest) == 1;

    /// <summary>A read or a write begins to wait for somebody else to serve the node, or has ended to.</summary>
    public void CountWaiter(int change) => Interlocked.Add(ref _waiters, change);

    /// <summary>Something that a guest waits for may be ready, by what another thread has done: it is to look.</summary>
    public void WakeGuest() => _transport.Wake();

    /// <summary>A callback may not wait for what needs another turn: nobody else could take it.</summary>
    public void ThrowIfInTurn()
    {
        if (HasTurn)
        {
            throw new InvalidOperationException("A callback runs on the thread that serves the node: it must not wait for a stream.");
        }
    }

    /// <summary>
    /// Serves the node on the calling thread until something is ready, or until some time on the clock. False when another thread does
    /// already; then nothing was waited for.
    /// </summary>
    public bool Drive<T>(T what, long until)
        where T : IReadiness
    {
        if (HasTurn || Interlocked.CompareExchange(ref _guest, 1, 0) != 0)
        {
            return false;
        }

        var holds = false;
        try
        {
            Volatile.Write(ref _guestCame, Clock.Now);
            Monitor.TryEnter(_wheel, ref holds);
            if (!holds)
            {
                _transport.Wake();
                Monitor.Enter(_wheel, ref holds);
            }

            while (!what.IsReady && !IsOver && Clock.Now < until)
            {
                Cycle(until);
            }
        }
        finally
        {
            if (holds)
            {
                Monitor.Exit(_wheel);
            }

            Leave();
        }

        return true;
    }

    /// <summary>Takes turns until no wish is left, unless somebody is at it.</summary>
    private void Hurry()
    {
        for (var turns = 0; HasWork && !_stopped; turns++)
        {
            if (turns == MaxHurriedTurns || HasTurn || !_turn.TryEnter())
            {
                Nudge(); // Whoever has the turn looks again after it; but the engine may just have looked, and be about to sleep.
                return;
            }

            bool wake;
            try
            {
                if (IsOver)
                {
                    return;
                }

                TakeTurn(receives: false);
                wake = IsOver || Deadline < _waitingUntil;
            }
            finally
            {
                _turn.Exit();
            }

            if (wake)
            {
                _transport.Wake();
            }
        }
    }

    // The engine's own thread stands back while a guest serves the node, and for a moment longer. Says whether it did.
    private bool MakeWay()
    {
        if (Volatile.Read(ref _guest) == 0 && (Clock.Now - Volatile.Read(ref _guestLeft) >= Grace || Volatile.Read(ref _waiters) > 0))
        {
            return false;
        }

        lock (_parking)
        {
            if (IsOver)
            {
                return true;
            }

            // A guest that comes and goes need not wake us each time; for one that has stayed we sleep until it calls. It may be leaving
            // just now: we say that we sleep before we look whether it is there, and it leaves before it looks whether we sleep.
            if (Clock.Now - Volatile.Read(ref _guestCame) >= Grace)
            {
                Interlocked.Exchange(ref _parked, 1);
            }

            Monitor.Wait(_parking, _parked == 1 && Volatile.Read(ref _guest) == 1 ? LongestParking : GraceMilliseconds);
            Volatile.Write(ref _parked, 0);
        }

        return true;
    }

    private void Leave()
    {
        Volatile.Write(ref _guestLeft, Clock.Now);
        Interlocked.Exchange(ref _guest, 0);
        if (Volatile.Read(ref _parked) == 1 || IsOver || Volatile.Read(ref _waiters) > 0)
        {
            lock (_parking)
            {
                Monitor.Pulse(_parking);
            }
        }
    }
}
