namespace UtpPunch.Cli.Bench;

/// <summary>Whether streams of one node share a path equally, and whether one slow reader holds up the others.</summary>
internal static class Fairness
{
    public const string Name = "fairness";
    private const int Others = 7;

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        yield return new BenchGroup(
            Name,
            $"fairness: {settings.Many} connections at once, Jain's index of their bytes (1 is equal shares)",
            [
                new Measure("Jain's index", MoreIsBetter: true),
                new Measure("least/most", MoreIsBetter: true) { HasRatio = false },
                new Measure("retransmitted, %", MoreIsBetter: false) { HasRatio = false },
                new Measure("time-outs", MoreIsBetter: false) { HasRatio = false },
            ],
            [
                new BenchCase("UtpPunch", token => ShareAsync(Bulk.Fixed, token)),
                new BenchCase(".NET TCP", token => ShareAsync(Bulk.Tcp, token)),
            ]);
        yield return new BenchGroup(
            Name,
            $"fairness: {Others} connections, and the same {Others} beside one with a slow reader",
            [
                new Measure($"MB/s of {Others}", MoreIsBetter: true),
                new Measure($"MB/s of {Others} beside a slow one", MoreIsBetter: true),
                new Measure("ratio", MoreIsBetter: true),
            ],
            [
                new BenchCase("UtpPunch", token => KeepAsync(Bulk.Fixed, token)),
                new BenchCase(".NET TCP", token => KeepAsync(Bulk.Tcp, token)),
            ])
        {
            Compares = false,
        };

        async Task<double[]> ShareAsync(string[] protocol, CancellationToken cancellationToken)
        {
            var run = await Bulk.MeasureAsync(settings, BulkPair.Streams("", settings.Many, protocol), cancellationToken);
            return [run.Fairness, (double)run.Counts.Min() / run.Counts.Max(), run.Retransmits.Share, run.Retransmits.Packets == 0 ? double.NaN : run.Retransmits.Timeouts];
        }

        async Task<double[]> KeepAsync(string[] protocol, CancellationToken cancellationToken)
        {
            var alone = await Bulk.MeasureAsync(settings, BulkPair.Streams("", Others, protocol), cancellationToken);
            var pair = BulkPair.Streams("", Others + 1, protocol);
            var beside = await Bulk.MeasureAsync(
                settings, pair with { Reader = Worker.Role("read", [.. protocol, $"connections={Others + 1}", "slow=1"]) }, cancellationToken);
            var before = alone.MegabytesPerSecond;
            var after = beside.Counts[..Others].Sum() / beside.Seconds / 1e6;
            return [before, after, after / before];
        }
    }
}
