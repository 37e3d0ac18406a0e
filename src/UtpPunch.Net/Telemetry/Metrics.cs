using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The meter "UtpPunch.Net" of all nodes of the process; docs/telemetry.md lists its instruments. Nodes count anyway, and what they have
/// counted is added up when a listener asks: without one, only the end of a stream does a few additions.
/// </summary>
internal static class Metrics
{
    public const string Name = "UtpPunch.Net";

    private static readonly Meter Meter = new(Name);
    private static readonly ConcurrentDictionary<Engine, bool> Nodes = new();
    private static readonly Lock Gate = new();
    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600],
    };

    private static readonly Histogram<double> ConnectDuration =
        Meter.CreateHistogram("utp.connect.duration", "s", "How long opening a stream took", advice: Seconds);

    private static readonly Histogram<double> ConnectionDuration =
        Meter.CreateHistogram("utp.connection.duration", "s", "How long a stream was open", advice: Seconds);

    private static readonly Histogram<double> RoundTrip =
        Meter.CreateHistogram("utp.rtt", "s", "The smoothed round trip of a stream when it ended", advice: Seconds);

    private static readonly Histogram<double> PunchDuration =
        Meter.CreateHistogram("utp.punch.duration", "s", "How long a punch took", advice: Seconds);

    // What the nodes that have ended had carried, and dropped.
    private static Traffic s_past;
    private static long s_pastDropped;

    static Metrics()
    {
        Meter.CreateObservableUpDownCounter("utp.connections.active", Active, "{connection}", "Streams");
        Meter.CreateObservableCounter("utp.io", Bytes, "By", "Bytes that peers have acknowledged, and that were received in order");
        Meter.CreateObservableCounter("utp.packets", Packets, "{packet}", "Packets of streams");
        Meter.CreateObservableCounter("utp.retransmissions", () => Total().Retransmissions, "{packet}", "Packets that were retransmitted");
        Meter.CreateObservableCounter("utp.timeouts", () => Total().Timeouts, "{timeout}", "Retransmission timeouts");
        Meter.CreateObservableCounter("utp.lost", () => Total().BytesLost, "By", "Bytes that were found lost");
        Meter.CreateObservableCounter("utp.packets.dropped", Dropped, "{packet}", "Datagrams that the system has not sent");
        Meter.CreateObservableCounter("utp.rules", Rules, "{event}", "How often an uncommon rule of the protocol was applied");
    }

    public static void Add(Engine node) => Nodes.TryAdd(node, true);

    public static void Remove(Engine node)
    {
        lock (Gate)
        {
            if (Nodes.TryRemove(node, out _))
            {
                s_past += node.Traffic();
                s_pastDropped += node.Transport.Dropped;
            }
        }
    }

    public static void Connected(TimeSpan duration, UtpError? error) => Record(ConnectDuration, duration, error);

    public static void Ended(TimeSpan duration, bool isIncoming, UtpError? error, TimeSpan roundTrip)
    {
        if (ConnectionDuration.Enabled)
        {
            var role = new KeyValuePair<string, object?>("utp.role", isIncoming ? "listener" : "dialer");
            if (error is { } some)
            {
                ConnectionDuration.Record(duration.TotalSeconds, role, ErrorType(some));
            }
            else
            {
                ConnectionDuration.Record(duration.TotalSeconds, role);
            }
        }

        if (RoundTrip.Enabled && roundTrip > TimeSpan.Zero)
        {
            RoundTrip.Record(roundTrip.TotalSeconds);
        }
    }

    public static void Punched(TimeSpan duration, bool isOpen)
    {
        if (PunchDuration.Enabled)
        {
            PunchDuration.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("utp.outcome", isOpen ? "open" : "failed"));
        }
    }

    /// <summary>The name of an error in metrics and traces.</summary>
    public static string NameOf(UtpError error) => error.ToString();

    private static void Record(Histogram<double> histogram, TimeSpan duration, UtpError? error)
    {
        if (!histogram.Enabled)
        {
            return;
        }

        if (error is { } some)
        {
            histogram.Record(duration.TotalSeconds, ErrorType(some));
        }
        else
        {
            histogram.Record(duration.TotalSeconds);
        }
    }

    private static KeyValuePair<string, object?> ErrorType(UtpError error) => new("error.type", NameOf(error));

    private static Traffic Total()
    {
        lock (Gate)
        {
            return Nodes.Keys.Aggregate(s_past, (sum, node) => sum + node.Traffic());
        }
    }

    private static IEnumerable<Measurement<long>> Active()
    {
        var now = Nodes.Keys.Select(node => NodeModule.Statistics(node.Node)).ToList();
        yield return Measured(now.Sum(node => node.Incoming), "utp.role", "listener");
        yield return Measured(now.Sum(node => node.Outgoing), "utp.role", "dialer");
    }

    private static IEnumerable<Measurement<long>> Bytes()
    {
        var total = Total();
        yield return Measured(total.BytesAcknowledged, "network.io.direction", "transmit");
        yield return Measured(total.BytesReceived, "network.io.direction", "receive");
    }

    private static IEnumerable<Measurement<long>> Packets()
    {
        var total = Total();
        yield return Measured(total.PacketsSent, "network.io.direction", "transmit");
        yield return Measured(total.PacketsReceived, "network.io.direction", "receive");
    }

    private static long Dropped()
    {
        lock (Gate)
        {
            return s_pastDropped + Nodes.Keys.Sum(node => node.Transport.Dropped);
        }
    }

    // Of the nodes that are open: rules say what goes on now.
    private static IEnumerable<Measurement<long>> Rules() =>
        Nodes.Keys.SelectMany(node => node.CountRules())
            .Where(rule => rule.Value > 0)
            .GroupBy(rule => rule.Key, rule => rule.Value, StringComparer.Ordinal)
            .Select(counts => Measured(counts.Sum(), "utp.rule", counts.Key));

    private static Measurement<long> Measured(long value, string key, string name) => new(value, new KeyValuePair<string, object?>(key, name));
}
