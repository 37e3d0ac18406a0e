using System.Globalization;
using System.Text.Json;

namespace UtpPunch.Cli.Bench;

/// <summary>The memory of an idle stream.</summary>
internal static class Idle
{
    public const string Name = "idle";

    // Other open files of a process: the runtime's, pipes, libraries.
    private const int OtherFiles = 256;

    private static readonly Measure[] s_measures =
    [
        new("managed B, dialled", MoreIsBetter: false),
        new("managed B, accepted", MoreIsBetter: false),
        new("working set B, both", MoreIsBetter: false),
    ];

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        var sockets = Math.Min(settings.Idle, FileLimit() - OtherFiles);
        BenchCase[] cases =
        [
            new("UtpPunch", token => MeasureAsync("protocol=utp", settings.Idle, token)),
            new(".NET TCP", token => MeasureAsync("protocol=tcp", sockets, token)),
        ];
        var title = $"memory of one of {settings.Idle} idle connections, bytes, all on one node each side";
        yield return new BenchGroup(Name, title, s_measures, cases)
        {
            MostRounds = 1,
            Notes = ["The kernel's memory for TCP sockets is not included.",
                .. sockets < settings.Idle ? [$"TCP: {sockets} connections, the limit of open files of a process."] : Array.Empty<string>()],
        };
    }

    private static async Task<double[]> MeasureAsync(string protocol, int connections, CancellationToken cancellationToken)
    {
        using var server = new Worker(Worker.Role("hold", protocol, $"connections={connections}"));
        var port = await server.PortAsync(cancellationToken);
        using var client = new Worker(Worker.Role("open", protocol, $"connections={connections}", $"port={port}"));
        await client.WaitAsync("open", cancellationToken);
        await server.WaitAsync("open", cancellationToken);

        // Let the buffers of the handshakes be released.
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

        async Task<JsonElement> AskAsync(Worker worker)
        {
            worker.Say("measure");
            return await worker.WaitAsync("memory", cancellationToken);
        }
    }

    // .NET raises the soft limit to the hard limit.
    private static int FileLimit()
    {
        const string Limits = "/proc/self/limits";
        const string Title = "Max open files";
        var line = File.Exists(Limits) ? File.ReadLines(Limits).FirstOrDefault(line => line.StartsWith(Title, StringComparison.Ordinal)) : null;
        var words = line?[Title.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words is [_, var most, ..] && int.TryParse(most, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) ? limit : int.MaxValue;
    }
}
