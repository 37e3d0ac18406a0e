namespace UtpPunch.Cli.Bench;

/// <summary>What is measured on one machine with this library and the platform alone, by name.</summary>
internal static class LocalParts
{
    public static IReadOnlyDictionary<string, Func<BenchSettings, IEnumerable<Contest>>> All { get; } =
        new Dictionary<string, Func<BenchSettings, IEnumerable<Contest>>>(StringComparer.Ordinal)
        {
            [Bulk.Name] = settings => Bulk.Contests(settings),
            [PingPong.Name] = PingPong.Contests,
            [Connects.Name] = Connects.Contests,
            [Idle.Name] = Idle.Contests,
            [Fairness.Name] = Fairness.Contests,
            [Cliff.Name] = Cliff.Contests,
        };
}
