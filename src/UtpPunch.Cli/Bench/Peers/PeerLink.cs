using System.Diagnostics;
using System.Text.Json;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// The worker's side of its connection to the controlling process. Commands are lines on standard input and run on a thread of their own, so
/// that a busy role does not delay them; events go out as lines of JSON. `mark` answers with the counters, the time and the processor time of
/// the process; `stop` ends the role. The process ends when its input does.
/// </summary>
internal sealed class PeerLink
{
    private readonly Dictionary<string, Action> _commands = [];
    private readonly CancellationTokenSource _stopped = new();
    private volatile Func<long[]> _counts = () => [];

    public PeerLink()
    {
        _commands.Add("mark", Mark);
        _commands.Add("stop", _stopped.Cancel);
    }

    /// <summary>Cancelled by `stop`.</summary>
    public CancellationToken Stopped => _stopped.Token;

    /// <summary>Sets what `mark` reports: one number for each connection, or one for all.</summary>
    public void Count(Func<long[]> counts) => _counts = counts;

    /// <summary>Adds a command; call it before <see cref="Start"/>.</summary>
    public void On(string command, Action action) => _commands.Add(command, action);

    /// <summary>Starts to carry out commands.</summary>
    public void Start() => new Thread(Listen) { IsBackground = true, Name = "commands" }.Start();

    public void Tell(string happened, Action<Utf8JsonWriter>? more = null) => JsonLine.Write(happened, more);

    public void TellPort(int port) => Tell("listening", json => json.WriteNumber("port", port));

    private void Listen()
    {
        while (Console.In.ReadLine() is { } line)
        {
            if (_commands.TryGetValue(line, out var action))
            {
                action();
            }
        }

        // Standard input ends with the controlling process, even if it is killed.
        Environment.Exit(ExitCodes.Failure);
    }

    private void Mark()
    {
        var counts = _counts();
        var microseconds = Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1e6);
        var processor = Environment.CpuUsage.TotalTime.TotalSeconds;
        Tell("mark", json =>
        {
            json.WriteNumber("us", microseconds);
            json.WriteNumber("cpu", processor);
            json.WriteStartArray("counts");
            foreach (var count in counts)
            {
                json.WriteNumberValue(count);
            }

            json.WriteEndArray();
        });
    }
}
