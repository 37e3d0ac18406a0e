using System.Globalization;
using System.Text.Json;

namespace UtpPunch.Cli.Bench;

/// <summary>What a stream costs that is open and says nothing.</summary>
internal static class Idle
{
    public const string Name = "idle";

    // Files that a process has open besides: the runtime's own, pipes, libraries.
    private const int OtherFiles = 256;

    private static readonly Measure[] s_measures =
    [
        new("managed B, dialled", MoreIsBetter: false),
        new("managed B, accepted", MoreIsBetter: false),
        new("working set B, both", MoreIsBetter: false),
    ];

    public static IEnumerable<Contest> Contests(BenchSettings settings)
    {
        var sockets = Math.Min(settings.Idle, FileLimit() - OtherFiles);
        Contestant[] contestants =
        [
            new("UtpPunch", token => MeasureAsync("medium=utp", settings.Idle, token)),
            new(".NET TCP", token => MeasureAsync("medium=tcp", sockets, token)),
        ];
        var title = $"memory of one of {settings.Idle} idle connections, bytes, all on one node each side";
        yield return new Contest(Name, title, s_measures, contestants)
        {
            MostRounds = 1,
            Notes = ["A TCP socket's memory in the kernel is not among these.",
                .. sockets < settings.Idle ? [$"TCP: {sockets} connections, since the system lets a process open no more files."] : Array.Empty<string>()],
        };
    }

    private static async Task<double[]> MeasureAsync(string medium, int connections, CancellationToken cancellationToken)
    {
        using var server = new Player(Player.Role("hold", medium, $"connections={connections}"));
        var port = await server.PortAsync(cancellationToken);
        using var client = new Player(Player.Role("open", medium, $"connections={connections}", $"port={port}"));
        await client.WaitAsync("open", cancellationToken);
        await server.WaitAsync("open", cancellationToken);

        // What was needed to open them is not needed any more.
        await Task.Delay(TimeSpan.FromSeconds(1), cancellationToken);
        var accepted = await AskAsync(server);
        var dialled = await AskAsync(client);
        return
        [
            Each(dialled, "managed"),
            Each(accepted, "managed"),
            Each(dialled, "workingSet") + Each(accepted, "workingSet"),
        ];

        double Each(JsonElement memory, string name) => memory.GetProperty(name).GetDouble() / connections;

        async Task<JsonElement> AskAsync(Player player)
        {
            player.Say("measure");
            return await player.WaitAsync("memory", cancellationToken);
        }
    }

    // .NET raises the limit as far as the system allows.
    private static int FileLimit()
    {
        const string Limits = "/proc/self/limits";
        const string Title = "Max open files";
        var line = File.Exists(Limits) ? File.ReadLines(Limits).FirstOrDefault(line => line.StartsWith(Title, StringComparison.Ordinal)) : null;
        var words = line?[Title.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words is [_, var most, ..] && int.TryParse(most, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) ? limit : int.MaxValue;
    }
}
