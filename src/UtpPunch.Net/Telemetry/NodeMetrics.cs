using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The instruments of all nodes with one meter; docs/telemetry.md lists them. Nodes count anyway, and what they have counted is added up when a listener
/// asks: without one, only the end of a stream does a few additions.
/// </summary>
internal sealed class NodeMetrics
{
    private static readonly ConditionalWeakTable<Meter, NodeMetrics> s_byMeter = [];
    private static readonly InstrumentAdvice<double> s_seconds = new()
    {
        HistogramBucketBoundaries = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600],
    };

    private static readonly InstrumentAdvice<long> s_bytes = new()
    {
        HistogramBucketBoundaries = [1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26],
    };

    private readonly ConcurrentDictionary<Engine, bool> _nodes = new();
    private readonly Lock _gate = new();
    private readonly Histogram<double> _connectDuration;
    private readonly Histogram<double> _connectionDuration;
    private readonly Histogram<double> _roundTrip;
    private readonly Histogram<double> _queueingDelay;
    private readonly Histogram<long> _congestionWindow;
    private readonly Histogram<double> _punchDuration;
    private readonly Counter<long> _punches;
    private readonly Counter<long> _pathChanges;

    // What the nodes that have ended had carried, and dropped.
    private readonly DropCounters _pastDrops = new();
    private Traffic _past;

    private NodeMetrics(Meter meter)
    {
        _connectDuration = meter.CreateHistogram("utp.connect.duration", "s", "How long opening a stream took", advice: s_seconds);
        _connectionDuration = meter.CreateHistogram("utp.connection.duration", "s", "How long a stream was open", advice: s_seconds);
        _roundTrip = meter.CreateHistogram("utp.rtt", "s", "The smoothed round trip of a stream when it ended", advice: s_seconds);
        _queueingDelay = meter.CreateHistogram("utp.queueing_delay", "s", "The queueing delay of a stream's path when it ended", advice: s_seconds);
        _congestionWindow = meter.CreateHistogram("utp.congestion_window", "By", "The congestion window of a stream when it ended", advice: s_bytes);
        _pathChanges = meter.CreateCounter<long>("utp.path.changes", "{change}", "Paths of streams that were lost, and others that were found");
        _punches = meter.CreateCounter<long>("utp.punches", "{punch}", "Punches, by what the two NATs do");
        _punchDuration = meter.CreateHistogram("utp.punch.duration", "s", "How long a punch took", advice: s_seconds);
        meter.CreateObservableUpDownCounter("utp.connections.active", Active, "{connection}", "Streams");
        meter.CreateObservableCounter("utp.io", Bytes, "By", "Bytes that peers have acknowledged, and that were received in order");
        meter.CreateObservableCounter("utp.packets", Packets, "{packet}", "Packets of streams");
        meter.CreateObservableCounter("utp.retransmissions", () => Total().Retransmissions, "{packet}", "Packets that were retransmitted");
        meter.CreateObservableCounter("utp.timeouts", () => Total().Timeouts, "{timeout}", "Retransmission timeouts");
        meter.CreateObservableCounter("utp.lost", () => Total().BytesLost, "By", "Bytes that were found lost");
        meter.CreateObservableCounter("utp.packets.dropped", Dropped, "{packet}", "Datagrams that the system has not sent");
        meter.CreateObservableCounter("utp.rules", Rules, "{event}", "How often an uncommon rule of the protocol was applied");
    }

    /// <summary>Gets the instruments of a factory's meter; those of the process without one.</summary>
    public static NodeMetrics Of(IMeterFactory? factory)
    {
        var meter = Meters.Of(factory);
        lock (s_byMeter)
        {
            return s_byMeter.GetValue(meter, static meter => new NodeMetrics(meter));
        }
    }

    public void Add(Engine node) => _nodes.TryAdd(node, true);

    public void Remove(Engine node)
    {
        lock (_gate)
        {
            if (_nodes.TryRemove(node, out _))
            {
                _past += node.Traffic();
                _pastDrops.Add(node.Transport.Drops);
            }
        }
    }

    /// <summary>An attempt to open a stream is over.</summary>
    /// <param name="duration">How long it took.</param>
    /// <param name="kind">How its path was punched; null for an address that the application has named.</param>
    /// <param name="error">The error; null if the stream is open.</param>
    public void Connected(TimeSpan duration, UtpPathKind? kind, string? error)
    {
        if (!_connectDuration.Enabled)
        {
            return;
        }

        var tags = default(TagList);
        if (kind is { } known)
        {
            tags.Add(AttributeNames.PathKind, AttributeNames.NameOf(known));
        }

        if (error is not null)
        {
            tags.Add(AttributeNames.ErrorType, error);
        }

        _connectDuration.Record(duration.TotalSeconds, tags);
    }

    /// <summary>A stream that was open has ended.</summary>
    public void Ended(TimeSpan duration, bool isIncoming, UtpError? error, in UtpStreamStatistics end)
    {
        if (_connectionDuration.Enabled)
        {
            var tags = new TagList { { "utp.role", isIncoming ? "listener" : "dialer" } };
            if (error is { } some)
            {
                tags.Add(AttributeNames.ErrorType, AttributeNames.NameOf(some));
            }

            _connectionDuration.Record(duration.TotalSeconds, tags);
        }

        // Without a round trip, nothing was measured.
        if (end.RoundTripTime > TimeSpan.Zero)
        {
            _roundTrip.Record(end.RoundTripTime.TotalSeconds);
            _queueingDelay.Record(end.QueueingDelay.TotalSeconds);
            _congestionWindow.Record(end.CongestionWindow);
        }
    }

    public void PathLost() => _pathChanges.Add(1, new KeyValuePair<string, object?>(AttributeNames.PathEvent, "lost"));

    public void PathFound() => _pathChanges.Add(1, new KeyValuePair<string, object?>(AttributeNames.PathEvent, "found"));

    public void Punched(TimeSpan duration, PunchReport report)
    {
        var stage = (UtpPunchStage)report.Stage.Tag;
        if (_punchDuration.Enabled)
        {
            _punchDuration.Record(
                duration.TotalSeconds, new KeyValuePair<string, object?>(AttributeNames.Outcome, AttributeNames.OutcomeOf(stage)));
        }

        if (_punches.Enabled)
        {
            _punches.Add(1, TagsOf(stage, report));
        }
    }

    private static TagList TagsOf(UtpPunchStage stage, PunchReport report)
    {
        var tags = new TagList
        {
            { AttributeNames.Outcome, AttributeNames.OutcomeOf(stage) },
            { AttributeNames.OwnNat, AttributeNames.NameOf(UtpPunchResult.ToPublic(report.Mapping)) },
            { AttributeNames.PeerNat, AttributeNames.NameOf(UtpPunchResult.ToPublic(report.PeerMapping)) },
        };
        if (stage == UtpPunchStage.Open)
        {
            tags.Add(AttributeNames.PathKind, AttributeNames.NameOf((UtpPathKind)report.Kind.Tag));
        }
        else
        {
            tags.Add(AttributeNames.ErrorType, AttributeNames.ErrorOf(stage));
        }

        return tags;
    }

    private Traffic Total()
    {
        lock (_gate)
        {
            return _nodes.Keys.Aggregate(_past, (sum, node) => sum + node.Traffic());
        }
    }

    private IEnumerable<Measurement<long>> Active()
    {
        var now = _nodes.Keys.Select(node => NodeModule.Statistics(node.Node)).ToList();
        yield return Meters.Measured(now.Sum(node => node.Incoming), "utp.role", "listener");
        yield return Meters.Measured(now.Sum(node => node.Outgoing), "utp.role", "dialer");
    }

    private IEnumerable<Measurement<long>> Bytes()
    {
        var total = Total();
        yield return Meters.Measured(total.BytesAcknowledged, "network.io.direction", "transmit");
        yield return Meters.Measured(total.BytesReceived, "network.io.direction", "receive");
    }

    private IEnumerable<Measurement<long>> Packets()
    {
        var total = Total();
        yield return Meters.Measured(total.PacketsSent, "network.io.direction", "transmit");
        yield return Meters.Measured(total.PacketsReceived, "network.io.direction", "receive");
    }

    private IEnumerable<Measurement<long>> Dropped()
    {
        var all = new DropCounters();
        lock (_gate)
        {
            all.Add(_pastDrops);
            foreach (var node in _nodes.Keys)
            {
                all.Add(node.Transport.Drops);
            }
        }

        return all.ByError.Select(drops => Meters.Measured(drops.Value, AttributeNames.ErrorType, drops.Key.ToString()));
    }

    // Of the nodes that are open: rules say what goes on now.
    private IEnumerable<Measurement<long>> Rules() =>
        _nodes.Keys.SelectMany(node => node.CountRules())
            .Where(rule => rule.Value > 0)
            .GroupBy(rule => rule.Key, rule => rule.Value, StringComparer.Ordinal)
            .Select(counts => Meters.Measured(counts.Sum(), "utp.rule", counts.Key));
}
