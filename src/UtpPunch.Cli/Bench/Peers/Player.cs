using System.Diagnostics;
using System.Text.Json;

namespace UtpPunch.Cli.Bench;

/// <summary>A process that plays a role, as the one sees it that leads. It says what happens in lines of JSON, see <see cref="PeerLink"/>; those
/// of npm packages say the same.</summary>
internal sealed class Player(ProcessStartInfo start) : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);
    private readonly ChildProcess _process = new(start);

    /// <summary>The hidden command with which this program plays a role.</summary>
    public const string Command = "bench-peer";

    /// <summary>What starts one of our own roles.</summary>
    public static ProcessStartInfo Role(string name, params string[] words) => OwnProcess.Command([Command, name, .. words]);

    public void Stop() => _process.Say("stop");

    public void Say(string order) => _process.Say(order);

    /// <summary>Waits for the next event of this name; others are passed over.</summary>
    public async Task<JsonElement> WaitAsync(string name, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(Timeout);
        try
        {
            while (await _process.ReadLineAsync(timeout.Token) is { } line)
            {
                // libutp prints a word of its own now and then.
                if (line.StartsWith('{') && Parse(line) is var happened && happened.GetProperty("event").GetString() is { } what)
                {
                    if (what == name)
                    {
                        return happened;
                    }

                    if (what == "failed")
                    {
                        throw new ContestException(happened.GetProperty("message").GetString()!);
                    }
                }
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new ContestException($"no '{name}' within {Timeout.TotalSeconds:F0} s");
        }

        throw new ContestException($"a process ended without '{name}'");
    }

    public async Task<int> PortAsync(CancellationToken cancellationToken) =>
        (await WaitAsync("listening", cancellationToken)).GetProperty("port").GetInt32();

    /// <summary>What it has counted so far.</summary>
    public async Task<Mark> MarkAsync(CancellationToken cancellationToken)
    {
        _process.Say("mark");
        var mark = await WaitAsync("mark", cancellationToken);
        return new Mark(mark.GetProperty("us").GetDouble() / 1e6, mark.GetProperty("cpu").GetDouble(), Counts(mark));
    }

    /// <summary>What it has counted in the end.</summary>
    public async Task<(long[] Counts, Repairs Repairs)> DoneAsync(CancellationToken cancellationToken)
    {
        var done = await WaitAsync("done", cancellationToken);
        return (Counts(done), new Repairs(Number("packets"), Number("again"), Number("timeouts")));

        // The npm packages do not know.
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

/// <summary>What a process had counted at a time of its own clock, and the processor time that it had taken, both in seconds.</summary>
internal readonly record struct Mark(double Seconds, double Processor, long[] Counts);

/// <summary>A contestant did not play to the end, or not by the rules.</summary>
internal sealed class ContestException(string message) : Exception(message);
