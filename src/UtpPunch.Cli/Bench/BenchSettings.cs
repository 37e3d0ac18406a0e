namespace UtpPunch.Cli.Bench;

/// <summary>How much is measured. All counts follow from the time, so that a short run is short in all its parts.</summary>
internal sealed record BenchSettings
{
    public const int UsualRounds = 5;
    public const double UsualSeconds = 2;

    /// <value>The number of rounds.</value>
    public int Rounds { get; init; } = UsualRounds;

    /// <value>The time of a measurement that was asked for; null if none was.</value>
    public TimeSpan? GivenTime { get; init; }

    /// <value>The time of a measurement, except on emulated paths, which have times of their own.</value>
    public TimeSpan Time => GivenTime ?? TimeSpan.FromSeconds(UsualSeconds);

    /// <value>The emulated paths to measure; empty means all.</value>
    public string[] Paths { get; init; } = [];

    /// <value>The contestants on emulated paths, by name, such as `tcp-bbr`, or by the first word of it; empty means all.</value>
    public string[] Only { get; init; } = [];

    /// <value>The time before a measurement, for the just-in-time compiler and slow start: two busy cores need nearly two seconds.</value>
    public TimeSpan WarmUp => Time;

    /// <value>The number of round trips.</value>
    public int Pings => (int)(10_000 * Time.TotalSeconds);

    /// <value>The most streams that a run opens.</value>
    public int Connects => (int)(3000 * Time.TotalSeconds);

    /// <value>The number of concurrent streams where there are many.</value>
    public int Many => Time < TimeSpan.FromSeconds(0.5) ? 8 : 64;

    /// <value>The number of idle streams.</value>
    public int Idle => (int)Math.Min(5000 * Time.TotalSeconds, 10_000);
}
