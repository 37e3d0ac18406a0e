using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>The round trip of one byte.</summary>
internal static class PingPong
{
    public const string Name = "pingpong";

    private static readonly Measure[] s_measures = [new("median µs", MoreIsBetter: false), new("p99 µs", MoreIsBetter: false)];

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        BenchCase[] cases =
        [
            Streams("UtpPunch, async", "protocol=utp", "mode=async"),
            Streams("UtpPunch, sync", "protocol=utp", "mode=sync"),
            new("raw UDP, blocking", token => MeasureAsync(Worker.Role("udp-echo"), port => Worker.Role("udp-ping", Words(port)), token)),
            Streams(".NET TCP, async", "protocol=tcp", "mode=async"),
            Streams(".NET TCP, sync", "protocol=tcp", "mode=sync"),
        ];
        yield return new BenchGroup(
            Name, $"ping-pong of one byte, loopback, two processes, {settings.Pings} round trips", s_measures, cases);

        string[] Words(int port) => [$"port={port}", $"count={settings.Pings}"];

        BenchCase Streams(string name, params string[] words) => new(name, token => MeasureAsync(
            Worker.Role("echo", words), port => Worker.Role("ping", [.. words, .. Words(port)]), token));
    }

    private static async Task<double[]> MeasureAsync(ProcessStartInfo echo, Func<int, ProcessStartInfo> ping, CancellationToken cancellationToken)
    {
        using var server = new Worker(echo);
        using var client = new Worker(ping(await server.PortAsync(cancellationToken)));
        var pinged = await client.WaitAsync("pinged", cancellationToken);
        return [pinged.GetProperty("median").GetDouble(), pinged.GetProperty("p99").GetDouble()];
    }
}
