namespace UtpPunch;

/// <summary>The flags in the word of <see cref="LoopOwnership{TPlatform}"/>.</summary>
[Flags]
internal enum LoopFlags
{
    None = 0,

    /// <summary>The node's own thread is the leader: it alone may wait on the socket and receive.</summary>
    OwnLeads = 1 << 0,

    /// <summary>A caller's thread is the leader.</summary>
    CallerLeads = 1 << 1,

    /// <summary>A caller waits for the node's own thread to hand over the leadership.</summary>
    CallerWaits = 1 << 2,

    /// <summary>The leader waits for the loop lock.</summary>
    LeaderWaits = 1 << 3,

    /// <summary>The leader waits on the socket, or is about to; to be seen by it now, an event must wake it.</summary>
    Asleep = 1 << 4,

    /// <summary>A command was posted that no step has gathered. The thread that takes the loop lock to step clears it.</summary>
    Pending = 1 << 5,

    /// <summary>A side for which a leading caller waits may be ready. Only the leader clears it, before it checks.</summary>
    Recheck = 1 << 6,

    /// <summary>The node's own thread is parked for a moment.</summary>
    StandsBy = 1 << 7,

    /// <summary>The node's own thread is parked until the caller leaves.</summary>
    Dozes = 1 << 8,

    /// <summary>A caller has led since the node's own thread checked last.</summary>
    CallerCame = 1 << 9,

    /// <summary>The node has closed or failed: no further step is taken.</summary>
    Over = 1 << 10,

    /// <summary>Commands are abandoned by the thread that posts them.</summary>
    Stopped = 1 << 11,
}

/// <summary>The word of <see cref="LoopOwnership{TPlatform}"/>: flags, the thread that holds the loop lock, and how many calls wait.</summary>
/// <param name="Word">16 bits of flags, 24 of the lock's holder (a managed thread id, or 0), 24 of waiting calls.</param>
internal readonly record struct LoopState(long Word)
{
    private const int StepperShift = 16;
    private const int WaitersShift = 40;
    private const long CountMask = (1L << 24) - 1;

    public LoopFlags Flags => (LoopFlags)(Word & 0xFFFF);

    /// <summary>The thread that holds the loop lock; 0 for none.</summary>
    public int Stepper => (int)((Word >> StepperShift) & CountMask);

    /// <summary>How many reads and writes wait for another thread to run the loop.</summary>
    public int Waiters => (int)((Word >> WaitersShift) & CountMask);

    public bool HasAny(LoopFlags flags) => (Word & (long)flags) != 0;

    public LoopState Set(LoopFlags flags) => new(Word | (long)flags);

    public LoopState Clear(LoopFlags flags) => new(Word & ~(long)flags);

    public LoopState HeldBy(int thread) => new((Word & ~(CountMask << StepperShift)) | ((long)thread << StepperShift));

    public LoopState AddWaiters(int change) => new(Word + ((long)change << WaitersShift));

    public override string ToString() => $"{Flags}, lock {Stepper}, waiters {Waiters}";
}
