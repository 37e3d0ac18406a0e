using System.Diagnostics;
using System.Text.Json;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// A playing process as its own role sees it. Orders come as lines on standard input and are carried out on a thread of their own, so that
/// a busy role does not hold them up; what has happened goes out as lines of JSON. `mark` answers with what was counted so far, the time
/// and the processor time of the process; `stop` asks the role to come to its end. The process ends with its input.
/// </summary>
internal sealed class PeerLink
{
    private readonly Dictionary<string, Action> _orders = [];
    private readonly CancellationTokenSource _stopped = new();
    private volatile Func<long[]> _counts = () => [];

    public PeerLink()
    {
        _orders.Add("mark", Mark);
        _orders.Add("stop", _stopped.Cancel);
    }

    /// <summary>Cancelled by `stop`.</summary>
    public CancellationToken Stopped => _stopped.Token;

    /// <summary>What `mark` tells: one number for each connection, or one for all.</summary>
    public void Count(Func<long[]> counts) => _counts = counts;

    /// <summary>Adds an order. Before <see cref="Obey"/>.</summary>
    public void On(string order, Action action) => _orders.Add(order, action);

    /// <summary>From now on orders are carried out.</summary>
    public void Obey() => new Thread(Listen) { IsBackground = true, Name = "orders" }.Start();

    public void Tell(string happened, Action<Utf8JsonWriter>? more = null) => JsonLine.Write(happened, more);

    public void TellPort(int port) => Tell("listening", json => json.WriteNumber("port", port));

    private void Listen()
    {
        while (Console.In.ReadLine() is { } line)
        {
            if (_orders.TryGetValue(line, out var order))
            {
                order();
            }
        }

        // When the first process is gone, however it went, nobody needs this one.
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
