using UtpPunch.Attacks.Hosts;

namespace UtpPunch.Attacks.Soak;

/// <summary>What is measured each minute: of the process that lives throughout, unless the name says otherwise.</summary>
internal sealed record Sample(
    int Minute, double Streams, double Bytes, double Failures, double Wrong, double Unexpected, double Rss, double Heap, double Handles, double Threads, string Event)
{
    public static Sample Of(int minute, Answer steady, string happened) => new(
        minute,
        steady.Number("opened") + steady.Number("served"),
        steady.Number("moved"),
        steady.Number("failures"),
        steady.Number("bad"),
        steady.Number("unexpected"),
        steady.Number("rss") / 1e6,
        steady.Number("heap") / 1e6,
        steady.Number("handles"),
        steady.Number("threads"),
        steady.Number("unexpected") > 0 ? $"{happened}; last unexpected: {steady.Text("error")}" : happened);

    public override string ToString() =>
        $"{Minute,4} min: {Streams,8:N0} streams, {Bytes / 1e6,8:N0} MB, {Failures,6:N0} failures, {Wrong} wrong bytes, {Unexpected} unexpected, "
        + $"RSS {Rss,6:F1} MB, heap {Heap,6:F1} MB, {Handles,3} handles, {Threads,3} threads; {Event}";
}

/// <summary>Whether a quantity was the same at the end as in the beginning.</summary>
internal sealed record Flatness(string Name, double First, double Last, double Allowed)
{
    public bool IsKept => Last <= Allowed;

    /// <summary>Compares the medians of the first and the last quarter, after a tenth for warming up.</summary>
    public static Flatness Of(string name, IReadOnlyList<Sample> samples, Func<Sample, double> of, double more)
    {
        var rest = samples.Skip(samples.Count / 10).ToArray();
        var quarter = Math.Max(1, rest.Length / 4);
        var first = Median(rest.Take(quarter).Select(of));
        return new(name, first, Median(rest.TakeLast(quarter).Select(of)), (first * 1.15) + more);
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }
}
