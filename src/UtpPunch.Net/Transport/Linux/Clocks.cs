namespace UtpPunch;

/// <summary>One moment on two clocks: the kernel stamps by the wall clock; the node counts by one that never jumps.</summary>
internal readonly record struct Clocks(long Monotonic, long Wall)
{
    /// <summary>Now. The wall clock is read first: whoever is held up between the two takes arrivals for later than they were, and the
    /// least delay that was ever seen, by which congestion control judges, is not spoilt.</summary>
    public static unsafe Clocks Read()
    {
        Libc.Timespec wall;
        _ = Libc.GetTime(Libc.CLOCK_REALTIME, &wall);
        return new Clocks(Clock.Now, wall.Microseconds);
    }

    /// <summary>A stamp of the wall clock. One that seems to lie in the future, or further back than a socket keeps anything, tells of a
    /// wall clock that was set.</summary>
    public long ToMonotonic(long wall) =>
        Wall - wall is >= 0 and < Clock.MicrosecondsPerSecond and var age ? Monotonic - age : Monotonic;
}
