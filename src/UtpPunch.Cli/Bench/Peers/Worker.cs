using System.Diagnostics;
using System.Text.Json;

namespace UtpPunch.Cli.Bench;

/// <summary>A worker process, controlled by this one. It reports events as lines of JSON (<see cref="PeerLink"/>); the npm packages' bench.js
/// does the same.</summary>
internal sealed class Worker(ProcessStartInfo start) : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);
    private readonly ChildProcess _process = new(start);

    /// <summary>The hidden command of worker processes.</summary>
    public const string Command = "bench-peer";

    /// <summary>Starts this program as a worker with a role.</summary>
    public static ProcessStartInfo Role(string name, params string[] words) => OwnProcess.Command([Command, name, .. words]);

    public void Stop() => _process.Say("stop");

    public void Say(string order) => _process.Say(order);

    /// <summary>Waits for the next event of this name; others are skipped.</summary>
    /// <param name="name">The event.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <param name="work">How long the worker works until then.</param>
    public async Task<JsonElement> WaitAsync(string name, CancellationToken cancellationToken, TimeSpan work = default)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(Timeout + (2 * work));
        try
        {
            while (await _process.ReadLineAsync(timeout.Token) is { } line)
            {
                // libutp prints lines of its own.
                if (line.StartsWith('{') && Parse(line) is var happened && happened.GetProperty("event").GetString() is { } what)
                {
                    if (what == name)
                    {
                        return happened;
                    }

                    if (what == "failed")
                    {
                        throw new BenchException(happened.GetProperty("message").GetString()!);
                    }
                }
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new BenchException($"no '{name}' within {Timeout.TotalSeconds:F0} s");
        }

        throw new BenchException($"a process ended without '{name}'");
    }

    public async Task<int> PortAsync(CancellationToken cancellationToken) =>
        (await WaitAsync("listening", cancellationToken)).GetProperty("port").GetInt32();

    /// <summary>Its counters now.</summary>
    public async Task<Mark> MarkAsync(CancellationToken cancellationToken)
    {
        _process.Say("mark");
        var mark = await WaitAsync("mark", cancellationToken);
        return new Mark(mark.GetProperty("us").GetDouble() / 1e6, mark.GetProperty("cpu").GetDouble(), Counts(mark));
    }

    /// <summary>Its final counters.</summary>
    public async Task<(long[] Counts, Retransmits Retransmits)> DoneAsync(CancellationToken cancellationToken)
    {
        var done = await WaitAsync("done", cancellationToken);
        return (Counts(done), new Retransmits(Number("packets"), Number("again"), Number("timeouts")));

        // The npm packages do not report these.
        long Number(string name) => done.TryGetProperty(name, out var number) ? number.GetInt64() : 0;
    }

    public void Dispose() => _process.Dispose();

    private static long[] Counts(JsonElement json) => [.. json.GetProperty("counts").EnumerateArray().Select(count => count.GetInt64())];

    private static JsonElement Parse(string line)
    {
        using var json = JsonDocument.Parse(line);
        return json.RootElement.Clone();
    }
}

/// <summary>The counters of a process, its clock and its processor time, both in seconds.</summary>
internal readonly record struct Mark(double Seconds, double Processor, long[] Counts);
