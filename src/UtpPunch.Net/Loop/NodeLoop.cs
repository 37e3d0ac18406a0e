namespace UtpPunch;

/// <summary>
/// What each thread does that runs a node's loop: the node's own thread, a thread that has posted a command, and callers that wait.
/// <see cref="LoopOwnership{TPlatform}"/> decides which thread may do what, and <see cref="ILoopWork"/> does it.
/// </summary>
internal sealed class NodeLoop<TPlatform, TWork>(TPlatform platform, TWork work)
    where TPlatform : struct, ILoopPlatform
    where TWork : class, ILoopWork
{
    // A writer must not be kept busy with the commands of other threads.
    private const int MaxInlineSteps = 2;

    // A caller that has left mostly comes back at once; until then the loop is without a leader.
    private const int GraceMilliseconds = 1;

    private readonly LoopOwnership<TPlatform> _ownership = new(platform);

    public bool IsCallerDriven => _ownership.IsCallerDriven;

    public bool IsOver => _ownership.IsOver;

    public bool HoldsLoopLock => _ownership.HoldsLoopLock;

    /// <summary>One round of the node's own thread; false after the last one.</summary>
    public bool RunOnce()
    {
        _ownership.LeadAsOwn(GraceMilliseconds);
        if (_ownership.IsOver)
        {
            _ownership.Lock(hasWaited: true);
            _ownership.Stop();
            work.End();
            _ownership.Unlock(long.MaxValue, hasMore: false, isOver: true);
            _ownership.YieldAsOwn(expectsCaller: false); // A caller may wait for the leadership; it will see that the node is over.
            return false;
        }

        var result = PollAndStep(long.MaxValue, isCaller: false);
        _ownership.YieldAsOwn(result.ExpectsCaller);
        return true;
    }

    /// <summary>A command was posted: has it executed, by the calling thread if it may step.</summary>
    /// <param name="inline">Whether the calling thread holds no lock, and its command should be executed before this returns.</param>
    public void OnPosted(bool inline)
    {
        switch (_ownership.Post(inline))
        {
            case PostResult.MustStep:
                StepInline();
                break;
            case PostResult.Stopped:
                work.AbandonCommands();
                break;
            default:
                break;
        }
    }

    /// <summary>Takes one step with the datagrams that have arrived, if the loop has no leader. Returns whether it did.</summary>
    public bool TryPollOnce()
    {
        if (!_ownership.TryLeadOnce())
        {
            return false;
        }

        try
        {
            PollAndStep(until: 0, isCaller: false);
        }
        finally
        {
            _ownership.LeaveAsCaller();
        }

        return true;
    }

    /// <summary>Waits until a side is ready or a deadline has passed: as the leader, or else blocked in the side. Returns whether it is ready.</summary>
    public bool WaitFor<TSide>(TSide side, long until)
        where TSide : class, ISyncSide
    {
        if (!side.BeginWait())
        {
            return true;
        }

        try
        {
            if (RunUntil(side, until))
            {
                return side.IsReady;
            }

            _ownership.BeginWaiting();
            try
            {
                while (!side.IsReady && work.Now < until)
                {
                    side.Block(until);
                }
            }
            finally
            {
                _ownership.EndWaiting();
            }

            return side.IsReady;
        }
        finally
        {
            side.EndWait();
        }
    }

    /// <summary>A side in which another thread waits may be ready. Under the side's lock.</summary>
    public void Wake<TSide>(TSide side)
        where TSide : class, ISyncSide
    {
        if (!side.TryPulse())
        {
            _ownership.Recheck();
        }
    }

    /// <summary>An asynchronous read or write begins to wait.</summary>
    public void BeginWaiting() => _ownership.BeginWaiting();

    public void EndWaiting() => _ownership.EndWaiting();

    // False when another caller leads, or the node is over; then the side need not be ready.
    private bool RunUntil<TSide>(TSide side, long until)
        where TSide : class, IReadiness
    {
        if (!_ownership.LeadAsCaller())
        {
            return false;
        }

        try
        {
            while (!side.IsReady && work.Now < until)
            {
                if (_ownership.IsOver)
                {
                    return false;
                }

                PollAndStep(until, isCaller: true);
            }

            return true;
        }
        finally
        {
            _ownership.LeaveAsCaller();
        }
    }

    // For the leader. When it need not wait, it keeps the loop lock while it polls the socket.
    private StepResult PollAndStep(long until, bool isCaller)
    {
        _ownership.Lock(hasWaited: false);
        var deadline = Math.Min(work.PrepareWait(), until);
        var wait = deadline - work.Now;
        if (_ownership.TrySleep(deadline, mayWait: wait > 0))
        {
            work.Wait(wait, isCaller);
            _ownership.Lock(hasWaited: true);
        }
        else
        {
            work.Wait(0, isCaller);
        }

        var result = work.Step(receives: true);
        Unlock(result);
        return result;
    }

    private void StepInline()
    {
        var result = work.Step(receives: false);
        for (var steps = 1; steps < MaxInlineSteps && !result.IsOver && (result.HasMore || _ownership.TryStepAgain()); steps++)
        {
            result = work.Step(receives: false);
        }

        Unlock(result);
    }

    private void Unlock(StepResult result) => _ownership.Unlock(result.Deadline, result.HasMore, result.IsOver);
}
