namespace UtpPunch.Cli.Bench;

/// <summary>What losses cost: the same transfer over a path of 20 ms each way, without and with the loss of one datagram in a hundred. The path
/// is played by this process, whose processor time does not count.</summary>
internal static class Cliff
{
    public const string Name = "cliff";
    private const int Connections = 4;
    private const double Lost = 0.01;
    private static readonly Measure Again = new("sent again, %", MoreIsBetter: false) { HasRatio = false };
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(20);

    public static IEnumerable<Contest> Contests(BenchSettings settings)
    {
        yield return new Contest(
            Name,
            $"losses: {Connections} connections of UtpPunch over a relay, {Delay.TotalMilliseconds:F0} ms each way",
            [.. Bulk.Measures, Again],
            [
                new Contestant("nothing lost", token => MeasureAsync(0, token)),
                new Contestant("1 % lost each way", token => MeasureAsync(Lost, token)),
            ]);

        async Task<double[]> MeasureAsync(double loss, CancellationToken cancellationToken)
        {
            DelayRelay? relay = null;
            try
            {
                var pair = BulkPair.Streams("", Connections, Bulk.Fixed);
                var turn = await Bulk.MeasureAsync(settings, pair, cancellationToken, port => (relay = new DelayRelay(port, Delay, loss)).Port);
                return [turn.MegabytesPerSecond, turn.ProcessorPerGigabyte, turn.Repairs.Share];
            }
            finally
            {
                relay?.Dispose();
            }
        }
    }
}
