namespace UtpPunch.Cli.Bench;

/// <summary>Do streams of one node get the same, and does one that is read slowly hold up the others?</summary>
internal static class Fairness
{
    public const string Name = "fairness";
    private const int Others = 7;

    public static IEnumerable<Contest> Contests(BenchSettings settings)
    {
        yield return new Contest(
            Name,
            $"fairness: {settings.Many} connections at once, Jain's index of their bytes (1: all got the same)",
            [
                new Measure("Jain's index", MoreIsBetter: true),
                new Measure("least/most", MoreIsBetter: true) { HasRatio = false },
                new Measure("sent again, %", MoreIsBetter: false) { HasRatio = false },
                new Measure("time-outs", MoreIsBetter: false) { HasRatio = false },
            ],
            [
                new Contestant("UtpPunch", token => ShareAsync(Bulk.Fixed, token)),
                new Contestant(".NET TCP", token => ShareAsync(Bulk.Tcp, token)),
            ]);
        yield return new Contest(
            Name,
            $"fairness: {Others} connections, and the same {Others} beside one that is read slowly",
            [
                new Measure($"MB/s of {Others}", MoreIsBetter: true),
                new Measure($"MB/s of {Others} beside a slow one", MoreIsBetter: true),
                new Measure("what they keep", MoreIsBetter: true),
            ],
            [
                new Contestant("UtpPunch", token => KeepAsync(Bulk.Fixed, token)),
                new Contestant(".NET TCP", token => KeepAsync(Bulk.Tcp, token)),
            ])
        {
            Compares = false,
        };

        async Task<double[]> ShareAsync(string[] medium, CancellationToken cancellationToken)
        {
            var turn = await Bulk.MeasureAsync(settings, BulkPair.Streams("", settings.Many, medium), cancellationToken);
            return [turn.Fairness, (double)turn.Counts.Min() / turn.Counts.Max(), turn.Repairs.Share, turn.Repairs.Packets == 0 ? double.NaN : turn.Repairs.Timeouts];
        }

        async Task<double[]> KeepAsync(string[] medium, CancellationToken cancellationToken)
        {
            var alone = await Bulk.MeasureAsync(settings, BulkPair.Streams("", Others, medium), cancellationToken);
            var pair = BulkPair.Streams("", Others + 1, medium);
            var beside = await Bulk.MeasureAsync(
                settings, pair with { Reader = Player.Role("read", [.. medium, $"connections={Others + 1}", "slow=1"]) }, cancellationToken);
            var before = alone.MegabytesPerSecond;
            var after = beside.Counts[..Others].Sum() / beside.Seconds / 1e6;
            return [before, after, after / before];
        }
    }
}
