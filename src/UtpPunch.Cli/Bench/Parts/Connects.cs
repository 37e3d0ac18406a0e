namespace UtpPunch.Cli.Bench;

/// <summary>Streams per second that are opened, carry one byte each way, and are closed.</summary>
internal static class Connects
{
    public const string Name = "connects";

    private static readonly Measure[] s_measures = [new("connects/s", MoreIsBetter: true)];

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings) => new[] { 1, settings.Many }.Select(atOnce =>
    {
        var title = $"connects: open, one byte each way, close; {(atOnce == 1 ? "one at a time" : $"{atOnce} at a time")}";
        return new BenchGroup(Name, title, s_measures, [BenchCase("UtpPunch", "protocol=utp"), BenchCase(".NET TCP", "protocol=tcp")]);

        BenchCase BenchCase(string name, string protocol) =>
            new(name, token => MeasureAsync(settings, protocol, atOnce, token));
    });

    private static async Task<double[]> MeasureAsync(BenchSettings settings, string protocol, int atOnce, CancellationToken cancellationToken)
    {
        using var server = new Worker(Worker.Role("greet", protocol));
        string[] words =
        [
            protocol,
            $"port={await server.PortAsync(cancellationToken)}",
            $"atOnce={atOnce}",
            $"most={settings.Connects}",
            $"milliseconds={settings.Time.TotalMilliseconds:F0}",
        ];
        using var client = new Worker(Worker.Role("call", words));
        return [(await client.WaitAsync("called", cancellationToken)).GetProperty("perSecond").GetDouble()];
    }
}
