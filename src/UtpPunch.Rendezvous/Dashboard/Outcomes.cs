using UtpPunch.Protocol;

namespace UtpPunch.Rendezvous.Dashboard;

/// <summary>How punches ended between two kinds of NATs, in whichever order, as the peers have reported.</summary>
/// <param name="One">What the NAT of one peer does.</param>
/// <param name="Other">What the NAT of the other peer does.</param>
/// <param name="Met">Reports of a path.</param>
/// <param name="NothingHeard">Reports of punches in which no packet of the peer arrived.</param>
/// <param name="NotHeard">Reports of punches in which packets arrived, but the peer did not acknowledge any.</param>
/// <param name="NotAgreed">Reports of punches with a path on which the peers did not agree in time.</param>
/// <param name="PeerGaveUp">Reports of punches that the peer had ended before.</param>
/// <param name="Median">Half of the paths were found within this time, in ms; null if there were none, or if it was more than 10 s.</param>
/// <param name="Most">95 of 100 paths were found within this time.</param>
internal sealed record PairOutcome(
    string One, string Other, long Met, long NothingHeard, long NotHeard, long NotAgreed, long PeerGaveUp, long? Median, long? Most);

/// <summary>How many paths of a kind were found, and how soon.</summary>
internal sealed record PathOutcome(string Path, long Met, long? Median, long? Most);

/// <summary>How many paths were found after at most this time, in ms, and later than the one before; null for more than 10 s.</summary>
internal sealed record TimeOutcome(long? Within, long Met);

/// <summary>The reports of clients, added up.</summary>
internal sealed record Outcomes(IReadOnlyList<PairOutcome> Pairs, IReadOnlyList<PathOutcome> Paths, IReadOnlyList<TimeOutcome> Times)
{
    private const long MicrosecondsPerMillisecond = 1000;

    /// <summary>Adds up the reports since an earlier time.</summary>
    public static Outcomes Of(IReadOnlyList<MeetingReportCount> now, IReadOnlyList<MeetingReportCount> earlier)
    {
        var before = earlier.ToDictionary(KeyOf, count => count.Count);
        var rows = now
            .Select(row => (Row: row, Count: row.Count - before.GetValueOrDefault(KeyOf(row))))
            .Where(entry => entry.Count > 0)
            .ToArray();
        var met = rows.Where(entry => StageOf(entry.Row) == UtpPunchStage.Open).ToArray();
        return new Outcomes(
            [.. rows.GroupBy(entry => PairOf(entry.Row)).OrderBy(pair => pair.Key).Select(pair => OfPair(pair.Key, [.. pair]))],
            [.. met.GroupBy(entry => (UtpPathKind)entry.Row.Kind.Tag).OrderBy(path => path.Key).Select(path => OfPath(path.Key, [.. path]))],
            [.. met.GroupBy(entry => entry.Row.Within).OrderBy(time => time.Key).Select(time => new TimeOutcome(InMilliseconds(time.Key), Sum(time)))]);
    }

    private static PairOutcome OfPair((UtpNatPortAssignment One, UtpNatPortAssignment Other) pair, (MeetingReportCount Row, long Count)[] rows)
    {
        var met = rows.Where(entry => StageOf(entry.Row) == UtpPunchStage.Open).ToArray();
        return new PairOutcome(
            NameOf(pair.One),
            NameOf(pair.Other),
            Sum(met),
            SumOf(UtpPunchStage.NothingHeard),
            SumOf(UtpPunchStage.NotHeard),
            SumOf(UtpPunchStage.NotAgreed),
            SumOf(UtpPunchStage.PeerGaveUp),
            Quantile(met, 50),
            Quantile(met, 95));

        long SumOf(UtpPunchStage stage) => Sum(rows.Where(entry => StageOf(entry.Row) == stage));
    }

    private static PathOutcome OfPath(UtpPathKind path, (MeetingReportCount Row, long Count)[] rows) =>
        new($"{path}".ToLowerInvariant(), Sum(rows), Quantile(rows, 50), Quantile(rows, 95));

    private static long Sum(IEnumerable<(MeetingReportCount Row, long Count)> rows) => rows.Sum(entry => entry.Count);

    // The upper end of the interval in which that share of all reports ends.
    private static long? Quantile((MeetingReportCount Row, long Count)[] rows, int percent)
    {
        var wanted = ((Sum(rows) * percent) + 99) / 100;
        var seen = 0L;
        foreach (var interval in rows.GroupBy(entry => entry.Row.Within).OrderBy(group => group.Key))
        {
            seen += Sum(interval);
            if (seen >= wanted)
            {
                return InMilliseconds(interval.Key);
            }
        }

        return null;
    }

    private static long? InMilliseconds(long time) => time == Time.never ? null : time / MicrosecondsPerMillisecond;

    private static (UtpPunchStage, UtpPathKind, UtpNatPortAssignment, UtpNatPortAssignment, long) KeyOf(MeetingReportCount row) =>
        (StageOf(row), (UtpPathKind)row.Kind.Tag, UtpPunchResult.ToPublic(row.Mapping), UtpPunchResult.ToPublic(row.PeerMapping), row.Within);

    private static UtpPunchStage StageOf(MeetingReportCount row) => (UtpPunchStage)row.Stage.Tag;

    private static (UtpNatPortAssignment One, UtpNatPortAssignment Other) PairOf(MeetingReportCount row)
    {
        var (one, other) = (UtpPunchResult.ToPublic(row.Mapping), UtpPunchResult.ToPublic(row.PeerMapping));
        return one <= other ? (one, other) : (other, one);
    }

    private static string NameOf(UtpNatPortAssignment mapping) => mapping switch
    {
        UtpNatPortAssignment.EndpointIndependent => "endpoint-independent",
        UtpNatPortAssignment.Sequential => "ports in sequence",
        UtpNatPortAssignment.Random => "random ports",
        _ => "unknown",
    };
}
