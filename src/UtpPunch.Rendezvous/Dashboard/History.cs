using UtpPunch.Protocol;

namespace UtpPunch.Rendezvous.Dashboard;

/// <summary>The last minute by seconds and the last hour by minutes, in rings of fixed size. It is not thread-safe.</summary>
internal sealed class History
{
    private const int Intervals = 60;

    // Reports are kept as they were each five minutes.
    private const int Marks = 12;
    private const int MinutesPerMark = 5;

    private readonly Queue<Sample> _seconds = new();
    private readonly Queue<Sample> _minutes = new();
    private readonly Queue<IReadOnlyList<MeetingReportCount>> _marks = new([[]]);
    private Sample? _last;
    private Sample? _minuteBegan;
    private long _ticks;

    /// <summary>The last 60 seconds, the latest one last; fewer after the start.</summary>
    public IReadOnlyCollection<Sample> Seconds => _seconds;

    /// <summary>The last 60 whole minutes, the latest one last.</summary>
    public IReadOnlyCollection<Sample> Minutes => _minutes;

    /// <summary>The counts of the reports at the beginning of the last hour, at most five minutes earlier or later; none if the server has run for a shorter time.</summary>
    public IReadOnlyList<MeetingReportCount> ReportsAnHourAgo => _marks.Peek();

    /// <summary>Takes the sample of a second.</summary>
    public void Add(Sample now, IReadOnlyList<MeetingReportCount> reports)
    {
        Keep(_seconds, now.Since(_last ?? now), Intervals);
        _minuteBegan ??= now;
        _last = now;
        if (++_ticks % Intervals != 0)
        {
            return;
        }

        Keep(_minutes, now.Since(_minuteBegan), Intervals);
        _minuteBegan = now;
        if (_ticks % (Intervals * MinutesPerMark) == 0)
        {
            Keep(_marks, reports, Marks);
        }
    }

    private static void Keep<T>(Queue<T> ring, T item, int most)
    {
        if (ring.Count == most)
        {
            ring.Dequeue();
        }

        ring.Enqueue(item);
    }
}
