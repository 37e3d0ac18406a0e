namespace UtpPunch.Cli.Bench;

/// <summary>How a contest went.</summary>
internal sealed class Standing
{
    public Standing(Contest contest)
    {
        Contest = contest;
        Rows = [.. contest.Contestants.Select(contestant => new Row(contestant, this))];
    }

    public Contest Contest { get; }

    public Row[] Rows { get; }

    /// <summary>A contestant and what its turns gave, by measure and round. A turn that failed leaves a gap.</summary>
    internal sealed class Row(Contestant contestant, Standing standing)
    {
        private readonly List<double[]?> _steps = [];

        public Contestant Contestant { get; } = contestant;

        /// <value>Why a turn failed.</value>
        public string? Failure { get; private set; }

        public void Add(double[] turn) => _steps.Add(turn);

        public void Fail(string why)
        {
            Failure = why;
            _steps.Add(null);
        }

        /// <summary>Null when no turn succeeded.</summary>
        public Spread? Of(int measure) => Spread.Of(_steps.OfType<double[]>().Select(turn => turn[measure]));

        /// <summary>This contestant's number as a multiple of the first one's in the same round.</summary>
        public Spread? RatioOf(int measure) => Spread.Of(_steps.Zip(standing.Rows[0]._steps)
            .Where(pair => pair is { First: not null, Second: not null })
            .Select(pair => pair.First![measure] / pair.Second![measure]));
    }
}

/// <summary>The median of some numbers, and the numbers in the order in which they came.</summary>
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
