namespace UtpPunch;

/// <summary>One moment on two clocks: the kernel's time stamps are of the wall clock, the node's times are of the monotonic one.</summary>
internal readonly record struct Clocks(long Monotonic, long Wall)
{
    /// <summary>Reads both clocks, the wall clock first. If the thread is preempted in between, arrivals seem later than they were, which
    /// leaves LEDBAT's base delay, a minimum, intact.</summary>
    public static unsafe Clocks Read()
    {
        Libc.Timespec wall;
        _ = Libc.GetTime(Libc.CLOCK_REALTIME, &wall);
        return new Clocks(Clock.Now, wall.Microseconds);
    }

    /// <summary>Converts a time stamp of the wall clock. If it lies in the future, or more than a second ago, the wall clock was set
    /// meanwhile, and the result is the time of the reading.</summary>
    public long ToMonotonic(long wall) =>
        Wall - wall is >= 0 and < Clock.MicrosecondsPerSecond and var age ? Monotonic - age : Monotonic;
}
