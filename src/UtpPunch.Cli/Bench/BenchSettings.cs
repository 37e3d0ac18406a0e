namespace UtpPunch.Cli.Bench;

/// <summary>How much of everything. All follows from the seconds, so that a short run is short in all its parts.</summary>
internal sealed record BenchSettings
{
    public const int UsualRounds = 5;
    public const double UsualSeconds = 2;

    /// <value>How often each contestant has its turn.</value>
    public int Rounds { get; init; } = UsualRounds;

    /// <value>How long each is measured in its turn, where that goes by time.</value>
    public TimeSpan Time { get; init; } = TimeSpan.FromSeconds(UsualSeconds);

    /// <value>What goes before, until the compiler has seen what is hot and windows are open: two busy cores take nearly two seconds for it.</value>
    public TimeSpan WarmUp => Time;

    /// <value>How many round trips.</value>
    public int Pings => (int)(10_000 * Time.TotalSeconds);

    /// <value>How many streams are opened at most in a turn.</value>
    public int Connects => (int)(3000 * Time.TotalSeconds);

    /// <value>How many streams there are at once where they are many.</value>
    public int Many => Time < TimeSpan.FromSeconds(0.5) ? 8 : 64;

    /// <value>How many streams are idle.</value>
    public int Idle => (int)Math.Min(5000 * Time.TotalSeconds, 10_000);
}
