namespace UtpPunch.Cli.Bench;

/// <summary>A figure that is measured, such as `MB/s`.</summary>
internal sealed record Measure(string Name, bool MoreIsBetter)
{
    /// <value>Whether tables show its range and its ratio to the baseline.</value>
    public bool HasRatio { get; init; } = true;
}

/// <summary>One subject of a group. A run gives a number for each measure of the group.</summary>
internal sealed record BenchCase(string Name, Func<CancellationToken, Task<double[]>> RunAsync);

/// <summary>
/// Cases that are compared. The first one is the baseline: each other case is divided by it round by round, so that a machine that becomes
/// slower or faster changes both.
/// </summary>
internal sealed record BenchGroup(string Part, string Title, Measure[] Measures, BenchCase[] Cases)
{
    /// <value>The most rounds of a case. A figure that hardly varies is not repeated.</value>
    public int MostRounds { get; init; } = int.MaxValue;

    /// <value>The time of a measurement, if it is not that of the settings.</value>
    public TimeSpan? Time { get; init; }

    /// <value>Whether the cases measure the same thing.</value>
    public bool Compares { get; init; } = true;

    /// <value>What a reader must know.</value>
    public string[] Notes { get; init; } = [];
}

/// <summary>A case did not run to its end, or its result was wrong.</summary>
internal sealed class BenchException(string message) : Exception(message);
