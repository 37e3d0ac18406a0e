namespace UtpPunch.Cli.Bench;

/// <summary>The parts of `utp bench` on one machine, by name. They need this library and the platform only.</summary>
internal static class LocalParts
{
    /// <summary>The parts that run if none is named. The emulated paths need root and take long.</summary>
    public const string Unasked = $"all but {Wan.Name}";

    public static IReadOnlyDictionary<string, Func<BenchSettings, IEnumerable<BenchGroup>>> All { get; } =
        new Dictionary<string, Func<BenchSettings, IEnumerable<BenchGroup>>>(StringComparer.Ordinal)
        {
            [Bulk.Name] = settings => Bulk.Groups(settings),
            [Pipes.Name] = Pipes.Groups,
            [Telemetry.Name] = Telemetry.Groups,
            [PingPong.Name] = PingPong.Groups,
            [Connects.Name] = Connects.Groups,
            [Idle.Name] = Idle.Groups,
            [Fairness.Name] = Fairness.Groups,
            [Cliff.Name] = Cliff.Groups,
            [Wan.Name] = settings => Wan.Groups(settings),
        };

    /// <summary>The groups of the parts that are named; if none is, of all that run unasked.</summary>
    public static IEnumerable<BenchGroup> Groups(
        IReadOnlyDictionary<string, Func<BenchSettings, IEnumerable<BenchGroup>>> parts, string[] named, BenchSettings settings) =>
        parts.Where(part => named.Length == 0 ? part.Key != Wan.Name : named.Contains(part.Key)).SelectMany(part => part.Value(settings));
}
