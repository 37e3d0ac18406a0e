namespace UtpPunch.Cli.Bench;

/// <summary>The parts of `utp bench` on one machine, by name. They need this library and the platform only.</summary>
internal static class LocalParts
{
    public static IReadOnlyDictionary<string, Func<BenchSettings, IEnumerable<BenchGroup>>> All { get; } =
        new Dictionary<string, Func<BenchSettings, IEnumerable<BenchGroup>>>(StringComparer.Ordinal)
        {
            [Bulk.Name] = settings => Bulk.Groups(settings),
            [PingPong.Name] = PingPong.Groups,
            [Connects.Name] = Connects.Groups,
            [Idle.Name] = Idle.Groups,
            [Fairness.Name] = Fairness.Groups,
            [Cliff.Name] = Cliff.Groups,
            [Wan.Name] = settings => Wan.Groups(settings),
        };
}
