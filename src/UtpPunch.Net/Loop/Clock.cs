using System.Diagnostics;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The clock of the engines: microseconds that never go back, from an arbitrary zero. The core counts in the same.</summary>
internal static class Clock
{
    public const long MicrosecondsPerSecond = 1_000_000;

    private static readonly long TicksPerMicrosecond =
        Stopwatch.Frequency % MicrosecondsPerSecond == 0 ? Stopwatch.Frequency / MicrosecondsPerSecond : 0;

    public static long Now
    {
        get
        {
            var ticks = Stopwatch.GetTimestamp();
            return TicksPerMicrosecond > 0
                ? ticks / TicksPerMicrosecond
                : (long)((Int128)ticks * MicrosecondsPerSecond / Stopwatch.Frequency);
        }
    }

    /// <summary>The time since an earlier <see cref="Now"/>.</summary>
    public static TimeSpan Since(long instant) => ToTimeSpan(Math.Max(0, Now - instant));

    public static TimeSpan ToTimeSpan(long microseconds) =>
        microseconds >= TimeSpan.MaxValue.Ticks / TimeSpan.TicksPerMicrosecond
            ? Timeout.InfiniteTimeSpan
            : new TimeSpan(microseconds * TimeSpan.TicksPerMicrosecond);

    /// <summary>The core's duration; an infinite time-out becomes its `never`.</summary>
    public static long ToMicroseconds(TimeSpan duration) =>
        duration == Timeout.InfiniteTimeSpan ? Time.never : duration.Ticks / TimeSpan.TicksPerMicrosecond;

    /// <summary><paramref name="instant"/> and so much more, without running over.</summary>
    public static long After(long instant, long duration) =>
        duration >= Time.never - Math.Max(0, instant) ? Time.never : instant + duration;

    /// <summary>The milliseconds until an instant, rounded up, as time-outs of the system take them.</summary>
    public static int MillisecondsUntil(long instant) =>
        instant == Time.never ? Timeout.Infinite : (int)Math.Clamp((instant - Now + 999) / 1000, 0, int.MaxValue);
}
