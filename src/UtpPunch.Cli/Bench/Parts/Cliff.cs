namespace UtpPunch.Cli.Bench;

/// <summary>The cost of losses: the same transfer over a path of 20 ms each way, without loss and with 1 % loss. This process relays the
/// datagrams; its processor time is not counted.</summary>
internal static class Cliff
{
    public const string Name = "cliff";
    private const int Connections = 4;
    private const double Lost = 0.01;
    private static readonly Measure Retransmitted = new("retransmitted, %", MoreIsBetter: false) { HasRatio = false };
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(20);

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        yield return new BenchGroup(
            Name,
            $"losses: {Connections} connections of UtpPunch over a relay, {Delay.TotalMilliseconds:F0} ms each way",
            [.. Bulk.Measures, Retransmitted],
            [
                new BenchCase("nothing lost", token => MeasureAsync(0, token)),
                new BenchCase("1 % lost each way", token => MeasureAsync(Lost, token)),
            ]);

        async Task<double[]> MeasureAsync(double loss, CancellationToken cancellationToken)
        {
            DelayRelay? relay = null;
            try
            {
                var pair = BulkPair.Streams("", Connections, Bulk.Fixed);
                var run = await Bulk.MeasureAsync(settings, pair, cancellationToken, port => (relay = new DelayRelay(port, Delay, loss)).Port);
                return [run.MegabytesPerSecond, run.ProcessorPerGigabyte, run.Retransmits.Share];
            }
            finally
            {
                relay?.Dispose();
            }
        }
    }
}
