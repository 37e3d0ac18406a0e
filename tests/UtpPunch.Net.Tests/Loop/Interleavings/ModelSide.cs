using static UtpPunch.Tests.Interleavings.Cell;

namespace UtpPunch.Tests.Interleavings;

/// <summary>A side of a stream, as <see cref="StreamSide"/> is one: its lock is held only where an operation of the loop is called.</summary>
internal sealed class ModelSide(Machine machine, int index) : ISyncSide
{
    public bool IsReady => Do("looks whether the side is ready", () =>
    {
        // While the thread leads, this is the head of a loop, in which nothing else is remembered.
        if (this[SideWaiter] == machine.Thread && new LoopState(machine.Cells[Word]).HasAny(LoopFlags.CallerLeads))
        {
            machine.Forget(but: -1 - index);
        }

        return this[SideReady];
    }) != 0;

    public bool BeginWait() => Do("begins to wait in the side", () =>
    {
        if (this[SideReady] != 0)
        {
            return 0;
        }

        this[SideWaiter] = machine.Thread;
        return 1;
    }) != 0;

    public void Block(long until)
    {
        var blocks = Do("blocks unless ready", () =>
        {
            (this[SideBlocked], this[SidePulsed]) = (1 - this[SideReady], 0);
            return this[SideBlocked];
        });
        if (blocks != 0)
        {
            Do("is blocked", () =>
            {
                machine.Forget(but: -20 - index);
                return this[SideBlocked] = 0;
            }, needs: SidePulsed);
        }
    }

    public void EndWait() => Do("ends to wait in the side", () => this[SideWaiter] = 0, locks: false);

    public bool TryPulse() => Do("pulses", () => this[SidePulsed] = this[SideBlocked], locks: false) != 0;

    /// <summary>The side becomes ready, on the calling thread.</summary>
    public void MakeReady<TPlatform, TWork>(NodeLoop<TPlatform, TWork> loop)
        where TPlatform : struct, ILoopPlatform
        where TWork : class, ILoopWork
    {
        var waits = Do("makes the side ready", () =>
        {
            (this[SideLock], this[SideReady]) = (machine.Thread, 1);
            var isAsync = this[SideAsync];
            this[SideAsync] = 0;
            return (isAsync << 8) | this[SideWaiter];
        });
        var waiter = waits & 0xFF;
        if (waiter != 0 && waiter != machine.Thread)
        {
            loop.Wake(this);
        }

        if (waits >> 8 != 0)
        {
            loop.EndWaiting();
        }

        Do("releases the side", () => this[SideLock] = 0, locks: false);
    }

    /// <summary>An asynchronous call waits, unless the side is ready.</summary>
    public void WaitAsynchronously<TPlatform, TWork>(NodeLoop<TPlatform, TWork> loop)
        where TPlatform : struct, ILoopPlatform
        where TWork : class, ILoopWork
    {
        if (IsReady)
        {
            return;
        }

        loop.TryPollOnce();
        var waits = Do("waits asynchronously", () =>
        {
            if (this[SideReady] != 0)
            {
                return 0;
            }

            (this[SideLock], this[SideAsync]) = (machine.Thread, 1);
            return 1;
        });
        if (waits != 0)
        {
            loop.BeginWaiting();
            Do("releases the side", () => this[SideLock] = 0, locks: false);
        }
    }

    private long this[int field]
    {
        get => machine.Cells[FirstSide + (index * SideSize) + field];
        set => machine.Cells[FirstSide + (index * SideSize) + field] = value;
    }

    // One operation under the side's lock, which must be free, unless the caller has it.
    private long Do(string operation, Func<long> change, bool locks = true, int needs = -1)
    {
        if (machine.Begins(operation, out var result))
        {
            if ((locks && this[SideLock] != 0) || (needs >= 0 && this[needs] == 0))
            {
                machine.Refuse();
            }

            result = machine.Record(change());
        }

        return result;
    }
}
