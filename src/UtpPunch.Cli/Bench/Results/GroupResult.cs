namespace UtpPunch.Cli.Bench;

/// <summary>The results of a group.</summary>
internal sealed class GroupResult(BenchGroup group)
{
    public BenchGroup Group { get; } = group;

    public CaseResult[] Cases { get; } = [.. group.Cases.Select(one => new CaseResult(one))];

    /// <summary>The baseline, to which the others are compared.</summary>
    public CaseResult Baseline => Cases[0];
}

/// <summary>The results of a case, by round and measure. A failed run leaves a gap.</summary>
internal sealed class CaseResult(BenchCase subject)
{
    private readonly List<double[]?> _runs = [];

    public BenchCase Case { get; } = subject;

    /// <value>Why a run failed; null if none did.</value>
    public string? Failure { get; private set; }

    public void Add(double[] run) => _runs.Add(run);

    public void Fail(string why)
    {
        Failure = why;
        _runs.Add(null);
    }

    /// <summary>Null if no run succeeded.</summary>
    public Spread? Of(int measure) => Spread.Of(_runs.OfType<double[]>().Select(run => run[measure]));

    /// <summary>The ratio to another case in the same rounds.</summary>
    public Spread? RatioOf(int measure, CaseResult baseline) => Spread.Of(_runs.Zip(baseline._runs)
        .Where(pair => pair is { First: not null, Second: not null })
        .Select(pair => pair.First![measure] / pair.Second![measure]));
}

/// <summary>The median of some numbers, and the numbers in the order in which they were measured.</summary>
internal sealed record Spread(double Median, double[] Samples)
{
    public double Least => Samples.Min();

    public double Most => Samples.Max();

    public static Spread? Of(IEnumerable<double> samples)
    {
        double[] all = [.. samples.Where(double.IsFinite)];
        if (all.Length == 0)
        {
            return null;
        }

        double[] sorted = [.. all.Order()];
        var middle = sorted.Length / 2;
        return new Spread(sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2, all);
    }
}
