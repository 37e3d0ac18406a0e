namespace UtpPunch.Cli.Bench;

/// <summary>How many streams a second are opened, carry one byte each way, and are closed.</summary>
internal static class Connects
{
    public const string Name = "connects";

    private static readonly Measure[] s_measures = [new("connects/s", MoreIsBetter: true)];

    public static IEnumerable<Contest> Contests(BenchSettings settings) => new[] { 1, settings.Many }.Select(atOnce =>
    {
        var title = $"connects: open, one byte each way, close; {(atOnce == 1 ? "one after the other" : $"{atOnce} at once")}";
        return new Contest(Name, title, s_measures, [Contestant("UtpPunch", "medium=utp"), Contestant(".NET TCP", "medium=tcp")]);

        Contestant Contestant(string name, string medium) =>
            new(name, token => MeasureAsync(settings, medium, atOnce, token));
    });

    private static async Task<double[]> MeasureAsync(BenchSettings settings, string medium, int atOnce, CancellationToken cancellationToken)
    {
        using var server = new Player(Player.Role("greet", medium));
        string[] words =
        [
            medium,
            $"port={await server.PortAsync(cancellationToken)}",
            $"atOnce={atOnce}",
            $"most={settings.Connects}",
            $"milliseconds={settings.Time.TotalMilliseconds:F0}",
        ];
        using var client = new Player(Player.Role("call", words));
        return [(await client.WaitAsync("called", cancellationToken)).GetProperty("perSecond").GetDouble()];
    }
}
