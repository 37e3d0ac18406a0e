namespace UtpPunch.Cli.Bench;

/// <summary>What a bulk transfer costs more when a process listens to all instruments, spans and messages of the library.</summary>
internal static class Telemetry
{
    public const string Name = "telemetry";

    private const string Listened = "listened=1";

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        foreach (var (packets, protocol) in new[] { ("packets of the path MTU", Bulk.Discovered), ("1400-byte packets", Bulk.Fixed) })
        {
            BenchCase[] cases = [Case("without listeners", protocol), Case("with listeners", [.. protocol, Listened])];
            yield return new BenchGroup(Name, $"telemetry, one connection, {packets}, loopback, two processes", Bulk.Measures, cases)
            {
                Notes = ["Listeners: each instrument once a second, each span, each message of the log from Trace on."],
            };
        }

        BenchCase Case(string name, string[] protocol) => new(name, async token =>
        {
            var run = await Bulk.MeasureAsync(settings, BulkPair.Streams(name, 1, protocol), token);
            return [run.MegabytesPerSecond, run.ProcessorPerGigabyte];
        });
    }
}
