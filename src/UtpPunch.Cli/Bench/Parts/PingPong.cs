using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>How long one byte takes there and back.</summary>
internal static class PingPong
{
    public const string Name = "pingpong";

    private static readonly Measure[] s_measures = [new("median µs", MoreIsBetter: false), new("p99 µs", MoreIsBetter: false)];

    public static IEnumerable<Contest> Contests(BenchSettings settings)
    {
        Contestant[] contestants =
        [
            Streams("UtpPunch, async", "medium=utp", "mode=async"),
            Streams("UtpPunch, sync", "medium=utp", "mode=sync"),
            new("raw UDP, blocking", token => MeasureAsync(Player.Role("udp-echo"), port => Player.Role("udp-ping", Words(port)), token)),
            Streams(".NET TCP, async", "medium=tcp", "mode=async"),
            Streams(".NET TCP, sync", "medium=tcp", "mode=sync"),
        ];
        yield return new Contest(
            Name, $"ping-pong of one byte, loopback, two processes, {settings.Pings} round trips", s_measures, contestants);

        string[] Words(int port) => [$"port={port}", $"count={settings.Pings}"];

        Contestant Streams(string name, params string[] words) => new(name, token => MeasureAsync(
            Player.Role("echo", words), port => Player.Role("ping", [.. words, .. Words(port)]), token));
    }

    private static async Task<double[]> MeasureAsync(ProcessStartInfo echo, Func<int, ProcessStartInfo> ping, CancellationToken cancellationToken)
    {
        using var server = new Player(echo);
        using var client = new Player(ping(await server.PortAsync(cancellationToken)));
        var pinged = await client.WaitAsync("pinged", cancellationToken);
        return [pinged.GetProperty("median").GetDouble(), pinged.GetProperty("p99").GetDouble()];
    }
}
