namespace UtpPunch.Cli.Bench;

/// <summary>Something that is measured: `MB/s`.</summary>
internal sealed record Measure(string Name, bool MoreIsBetter)
{
    /// <value>Whether tables have its range, and what it is as a multiple of the first contestant's. They have little room.</value>
    public bool HasRatio { get; init; } = true;
}

/// <summary>One contestant: its turn gives a number for each measure of the contest.</summary>
internal sealed record Contestant(string Name, Func<CancellationToken, Task<double[]>> TurnAsync);

/// <summary>
/// What is compared, and with whom: the first contestant is the one that all others are held against, turn by turn. A machine that slows
/// down slows all of them; what counts are the ratios.
/// </summary>
internal sealed record Contest(string Part, string Title, Measure[] Measures, Contestant[] Contestants)
{
    /// <value>How often each has its turn at most: what hardly varies need not be repeated.</value>
    public int MostRounds { get; init; } = int.MaxValue;

    /// <value>Whether the contestants measure the same thing.</value>
    public bool Compares { get; init; } = true;

    /// <value>What one must know to read it.</value>
    public string[] Notes { get; init; } = [];
}
