namespace UtpPunch;

/// <summary>
/// Which thread runs a node's loop. Two rights are given to one thread at a time each: the leadership, to wait on the socket and to
/// receive from it, and the loop lock, to step the node. Everything is in one word, and each method is one transition of it, made by one
/// compare-and-swap; what the transition obliges the thread to do (to wake, to unpark) follows from the word that it replaced.
/// </summary>
/// <remarks>
/// This is the Leader/Followers pattern (POSA2) with the node's own thread as the follower of last resort.
/// <code>
/// method          from                                          to                                     then
/// TryLeadOnce     no leader, not over                           CallerLeads, CallerCame
/// LeadAsCaller    no leader, not over                           CallerLeads, CallerCame
///                 OwnLeads, no CallerWaits, not over            + CallerWaits, - Asleep                wake the socket if Asleep; park until led
/// LeaveAsCaller   CallerLeads                                   - CallerLeads, - Asleep, - Recheck     unpark the own thread if Dozes, or if StandsBy and
///                                                                                                      calls wait or it is over
/// LeadAsOwn       OwnLeads                                      OwnLeads
///                 no leader; no CallerCame, calls wait, or over OwnLeads
///                 CallerCame                                    StandsBy, - CallerCame                 park for a moment; again
///                 CallerLeads, no CallerCame                    Dozes                                  park until unparked; again
/// YieldAsOwn      OwnLeads, CallerWaits                         CallerLeads, CallerCame, - CallerWaits unpark the caller
///                 OwnLeads, CallerCame or caller expected,      no leader, CallerCame
///                 no call waits, not over
/// Lock            lock free                                     held, - LeaderWaits (after a wait:     park until free
///                                                               - Asleep, - Pending, - Recheck)
/// TrySleep        held; nothing Pending, Recheck, CallerWaits   free, Asleep
///                 held; something                               held, - Pending, - Recheck
/// Post            lock free, inline, not over                   held, - Pending                        step
///                 otherwise                                     + Pending, - Asleep if the lock is free  wake the socket if Asleep was cleared
/// TryStepAgain    held, Pending                                 held, - Pending                        step
/// Unlock          held                                          free, - Asleep if Pending, over or     wake the socket if Asleep was cleared; unpark the
///                                                               due before the sleeper expects         leader if LeaderWaits
/// Recheck         CallerLeads                                   + Recheck, - Asleep                    wake the socket if Asleep
/// BeginWaiting    any                                           one more waits                         unpark the own thread if StandsBy and no leader
/// EndWaiting      any                                           one fewer waits
/// Stop            held                                          + Stopped
/// </code>
/// No wake-up is lost, because what a thread waits for and that it sleeps are in the same word: a thread that posts a command finds in the
/// word that it replaces either a thread that has yet to look, or one that sleeps and must be woken.
/// The order of locks is leadership, loop lock, lock of a stream; a thread that holds one takes none that is further left.
/// </remarks>
internal sealed class LoopOwnership<TPlatform>(TPlatform platform)
    where TPlatform : struct, ILoopPlatform
{
    // No correctness depends on this limit.
    private const int LongestPark = 60_000;

    private const LoopFlags Led = LoopFlags.OwnLeads | LoopFlags.CallerLeads;
    private const LoopFlags Parked = LoopFlags.StandsBy | LoopFlags.Dozes;
    private const LoopFlags Unseen = LoopFlags.Pending | LoopFlags.Recheck;

    private TPlatform _platform = platform;

    public bool IsOver => _platform.Read().HasAny(LoopFlags.Over);

    /// <summary>Whether a caller's thread is the leader.</summary>
    public bool IsCallerDriven => _platform.Read().HasAny(LoopFlags.CallerLeads);

    /// <summary>Whether the calling thread holds the loop lock.</summary>
    public bool HoldsLoopLock => _platform.Read().Stepper == _platform.CurrentThread;

    /// <summary>A caller becomes the leader if there is none.</summary>
    public bool TryLeadOnce()
    {
        while (true)
        {
            var before = _platform.Read();
            if (before.HasAny(Led | LoopFlags.Over) || before.Stepper == _platform.CurrentThread)
            {
                return false;
            }

            if (_platform.TryReplace(before, before.Set(LoopFlags.CallerLeads | LoopFlags.CallerCame)))
            {
                return true;
            }
        }
    }

    /// <summary>A caller becomes the leader, and waits for the node's own thread to hand over. False when another caller is first.</summary>
    public bool LeadAsCaller()
    {
        LoopState before;
        LoopState after;
        do
        {
            before = _platform.Read();
            if (before.HasAny(LoopFlags.CallerLeads | LoopFlags.CallerWaits | LoopFlags.Over))
            {
                return false;
            }

            after = before.HasAny(LoopFlags.OwnLeads)
                ? before.Set(LoopFlags.CallerWaits).Clear(LoopFlags.Asleep)
                : before.Set(LoopFlags.CallerLeads | LoopFlags.CallerCame);
        }
        while (!_platform.TryReplace(before, after));

        if (after.HasAny(LoopFlags.CallerWaits))
        {
            if (before.HasAny(LoopFlags.Asleep))
            {
                _platform.WakeSocket();
            }

            AwaitHandover();
        }

        return true;
    }

    /// <summary>The leading caller leaves.</summary>
    public void LeaveAsCaller()
    {
        LoopState before;
        LoopState after;
        do
        {
            before = _platform.Read();
            after = before.Clear(LoopFlags.CallerLeads | LoopFlags.Asleep | LoopFlags.Recheck);
            if (before.HasAny(LoopFlags.Dozes) || before.Waiters > 0 || before.HasAny(LoopFlags.Over))
            {
                after = after.Clear(Parked);
            }
        }
        while (!_platform.TryReplace(before, after));

        UnparkOwnIfFreed(before, after);
    }

    /// <summary>The node's own thread becomes the leader if it is not yet. It stands by as long as callers come and go, and dozes while one stays.</summary>
    /// <param name="grace">For how many milliseconds the loop may be without a leader.</param>
    public void LeadAsOwn(int grace)
    {
        while (true)
        {
            var before = _platform.Read();
            if (before.HasAny(LoopFlags.OwnLeads))
            {
                return;
            }

            var idle = before.Clear(Parked);
            var leads = !before.HasAny(LoopFlags.CallerLeads)
                && (!before.HasAny(LoopFlags.CallerCame) || before.Waiters > 0 || before.HasAny(LoopFlags.Over));
            var after = leads ? idle.Set(LoopFlags.OwnLeads)
                : before.HasAny(LoopFlags.CallerCame) ? idle.Clear(LoopFlags.CallerCame).Set(LoopFlags.StandsBy)
                : idle.Set(LoopFlags.Dozes);
            if (!_platform.TryReplace(before, after))
            {
                continue;
            }

            if (leads)
            {
                return;
            }

            _platform.Park(LoopParty.OwnThread, after.HasAny(LoopFlags.Dozes) ? LongestPark : grace);
        }
    }

    /// <summary>The node's own thread, which leads, makes room for a caller that waits, is expected, or led a moment ago.</summary>
    public void YieldAsOwn(bool expectsCaller)
    {
        while (true)
        {
            var before = _platform.Read();
            var waits = before.HasAny(LoopFlags.CallerWaits);
            var comesBack = expectsCaller || before.HasAny(LoopFlags.CallerCame);
            if (!waits && (!comesBack || before.Waiters > 0 || before.HasAny(LoopFlags.Over)))
            {
                return;
            }

            var after = before.Clear(LoopFlags.OwnLeads | LoopFlags.CallerWaits).Set(LoopFlags.CallerCame);
            if (_platform.TryReplace(before, waits ? after.Set(LoopFlags.CallerLeads) : after))
            {
                if (waits)
                {
                    _platform.Unpark(LoopParty.Caller);
                }

                return;
            }
        }
    }

    /// <summary>The leader takes the loop lock.</summary>
    /// <param name="hasWaited">Whether it comes from the socket, and will handle all flags.</param>
    public void Lock(bool hasWaited)
    {
        while (true)
        {
            var before = _platform.Read();
            var isFree = before.Stepper == 0;
            var after = isFree ? before.HeldBy(_platform.CurrentThread).Clear(LoopFlags.LeaderWaits) : before.Set(LoopFlags.LeaderWaits);
            if (isFree && hasWaited)
            {
                after = after.Clear(LoopFlags.Asleep | Unseen);
            }

            if (!_platform.TryReplace(before, after))
            {
                continue;
            }

            if (isFree)
            {
                return;
            }

            _platform.Park(before.HasAny(LoopFlags.OwnLeads) ? LoopParty.OwnThread : LoopParty.Caller, LongestPark);
        }
    }

    /// <summary>The leader is about to wait on the socket: true when it has released the loop lock; false when there is something to do
    /// already, and it still holds the lock.</summary>
    /// <param name="until">When it will wake up by itself.</param>
    /// <param name="mayWait">Whether that lies ahead.</param>
    public bool TrySleep(long until, bool mayWait)
    {
        _platform.SleepsUntil = until;
        while (true)
        {
            var before = _platform.Read();
            var sleeps = mayWait && !before.HasAny(Unseen | LoopFlags.CallerWaits | LoopFlags.Over);
            if (_platform.TryReplace(before, sleeps ? before.HeldBy(0).Set(LoopFlags.Asleep) : before.Clear(Unseen)))
            {
                return sleeps;
            }
        }
    }

    /// <summary>A command was posted. Returns what the calling thread must do.</summary>
    /// <param name="inline">Whether the calling thread may step.</param>
    public PostResult Post(bool inline)
    {
        while (true)
        {
            var before = _platform.Read();
            if (before.HasAny(LoopFlags.Stopped))
            {
                return PostResult.Stopped;
            }

            var isFree = before.Stepper == 0;
            var steps = inline && isFree && !before.HasAny(LoopFlags.Over);
            var wakes = !steps && isFree && before.HasAny(LoopFlags.Asleep);
            var after = steps ? before.HeldBy(_platform.CurrentThread).Clear(LoopFlags.Pending) : before.Set(LoopFlags.Pending);
            if (!_platform.TryReplace(before, wakes ? after.Clear(LoopFlags.Asleep) : after))
            {
                continue;
            }

            if (wakes)
            {
                _platform.WakeSocket();
            }

            return steps ? PostResult.MustStep : PostResult.Done;
        }
    }

    /// <summary>The holder of the loop lock continues with commands that were posted meanwhile, if there are any.</summary>
    public bool TryStepAgain()
    {
        while (true)
        {
            var before = _platform.Read();
            if (!before.HasAny(LoopFlags.Pending) || before.HasAny(LoopFlags.LeaderWaits))
            {
                return false;
            }

            if (_platform.TryReplace(before, before.Clear(LoopFlags.Pending)))
            {
                return true;
            }
        }
    }

    /// <summary>Releases the loop lock after a step.</summary>
    /// <param name="deadline">When the node is due next.</param>
    /// <param name="hasMore">Whether the step has left events for the next one.</param>
    /// <param name="isOver">Whether it was the last step.</param>
    public void Unlock(long deadline, bool hasMore, bool isOver)
    {
        var isSooner = deadline < _platform.SleepsUntil;
        LoopState before;
        LoopState after;
        do
        {
            before = _platform.Read();
            after = before.HeldBy(0).Clear(LoopFlags.LeaderWaits);
            after = hasMore ? after.Set(LoopFlags.Pending) : after;
            after = isOver ? after.Set(LoopFlags.Over) : after;
            if (isSooner || after.HasAny(LoopFlags.Pending | LoopFlags.Over))
            {
                after = after.Clear(LoopFlags.Asleep);
            }

            if (after.HasAny(LoopFlags.Over) && !after.HasAny(Led))
            {
                after = after.Clear(Parked);
            }
        }
        while (!_platform.TryReplace(before, after));

        if (before.HasAny(LoopFlags.Asleep) && !after.HasAny(LoopFlags.Asleep))
        {
            _platform.WakeSocket();
        }

        if (before.HasAny(LoopFlags.LeaderWaits))
        {
            _platform.Unpark(before.HasAny(LoopFlags.OwnLeads) ? LoopParty.OwnThread : LoopParty.Caller);
        }

        UnparkOwnIfFreed(before, after);
    }

    /// <summary>A side for which a caller waits has become ready on another thread: a leading caller must check it.</summary>
    public void Recheck()
    {
        LoopState before;
        do
        {
            before = _platform.Read();
            if (!before.HasAny(LoopFlags.CallerLeads))
            {
                return;
            }
        }
        while (!_platform.TryReplace(before, before.Set(LoopFlags.Recheck).Clear(LoopFlags.Asleep)));

        if (before.HasAny(LoopFlags.Asleep))
        {
            _platform.WakeSocket();
        }
    }

    /// <summary>A read or a write begins to wait for another thread to run the loop.</summary>
    public void BeginWaiting()
    {
        LoopState before;
        LoopState after;
        do
        {
            before = _platform.Read();
            after = before.AddWaiters(1);
            if (!before.HasAny(Led))
            {
                after = after.Clear(Parked);
            }
        }
        while (!_platform.TryReplace(before, after));

        UnparkOwnIfFreed(before, after);
    }

    /// <summary>The read or write has stopped waiting.</summary>
    public void EndWaiting()
    {
        LoopState before;
        do
        {
            before = _platform.Read();
        }
        while (!_platform.TryReplace(before, before.AddWaiters(-1)));
    }

    /// <summary>From here on commands are abandoned. For the holder of the loop lock.</summary>
    public void Stop()
    {
        LoopState before;
        do
        {
            before = _platform.Read();
        }
        while (!_platform.TryReplace(before, before.Set(LoopFlags.Stopped)));
    }

    private void AwaitHandover()
    {
        var isLed = false;
        try
        {
            while (_platform.Read().HasAny(LoopFlags.CallerWaits))
            {
                _platform.Park(LoopParty.Caller, LongestPark);
            }

            isLed = true;
        }
        finally
        {
            if (!isLed)
            {
                Withdraw(); // Interrupted.
            }
        }
    }

    private void Withdraw()
    {
        while (true)
        {
            var before = _platform.Read();
            if (!before.HasAny(LoopFlags.CallerWaits))
            {
                LeaveAsCaller(); // The leadership was handed over just now.
                return;
            }

            if (_platform.TryReplace(before, before.Clear(LoopFlags.CallerWaits)))
            {
                return;
            }
        }
    }

    private void UnparkOwnIfFreed(LoopState before, LoopState after)
    {
        if (before.HasAny(Parked) && !after.HasAny(Parked))
        {
            _platform.Unpark(LoopParty.OwnThread);
        }
    }
}

/// <summary>What a thread that has posted a command has to do.</summary>
internal enum PostResult
{
    /// <summary>Nothing: another thread steps, or was woken.</summary>
    Done,

    /// <summary>It was given the loop lock, and must step.</summary>
    MustStep,

    /// <summary>The node has stopped; commands are to be abandoned.</summary>
    Stopped,
}
