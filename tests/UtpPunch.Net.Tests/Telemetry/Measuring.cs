using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;

namespace UtpPunch.Tests;

/// <summary>The meter and the spans. They are the process's: streams of earlier tests may still end, so counts are lower bounds.</summary>
public static class Measuring
{
    private const int Length = 2_000_000;
    private static readonly IPEndPoint s_loopback = new(IPAddress.Loopback, 0);

    [Fact("the meter has what a transfer over a lossy path has carried, retransmitted and taken, also after its nodes have ended")]
    public static async Task LossyTransfer()
    {
        using var meter = new Reader();
        var before = meter.Read();
        await using (var server = UtpNode.Bind(s_loopback))
        await using (var client = UtpNode.Bind(s_loopback))
        {
            using var relay = UdpRelay.Symmetric(server.LocalEndPoint, new RelayPath { Loss = 0.03 });
            await using var listener = server.Listen();
            var stream = await client.ConnectAsync(relay.EndPoint);
            await using (var accepted = await listener.AcceptAsync())
            {
                Check.That(meter.Read()["utp.connections.active utp.role=dialer"] >= 1, "the stream is active");
                var writing = stream.WriteAsync(new byte[Length], completeWrites: true).AsTask();
                using var content = new MemoryStream();
                await accepted.CopyToAsync(content);
                await writing;
                Check.Equal(Length, (int)content.Length);
                Check.That(Grown("utp.io network.io.direction=receive") >= Length, "a stream that is open counts");
            }

            Check.Equal(0, await stream.ReadAsync(new byte[1]));
            await stream.DisposeAsync();
            await stream.Closed.WaitAsync(TimeSpan.FromSeconds(10));
        }

        Check.That(Grown("utp.io network.io.direction=transmit") >= Length, "a node that has ended counts");
        Check.That(Grown("utp.io network.io.direction=receive") >= Length, "a node that has ended counts");
        Check.That(Grown("utp.packets network.io.direction=transmit") > Length / 65_507);
        Check.That(Grown("utp.retransmissions") > 0, "packets were retransmitted");
        Check.That(meter.Histogram("utp.connect.duration").Any(one => one is { Value: > 0, Tags: "" }), "the connect was measured");
        foreach (var role in new[] { "utp.role=dialer", "utp.role=listener" })
        {
            Check.That(meter.Histogram("utp.connection.duration").Any(one => one.Tags == role), $"an end with {role}");
        }

        long Grown(string name) => meter.Read()[name] - before.GetValueOrDefault(name);
        Check.That(meter.Histogram("utp.rtt").All(one => one.Value is > 0 and < 10));
    }

    [Fact("100 MB over an open stream call no listener, whatever listens: packets cost nothing")]
    public static async Task NothingPerPacket()
    {
        const int Block = 1_000_000;
        const int Blocks = 100;
        var log = new LogRecorder();
        var spans = 0;
        using var meter = new Reader();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "UtpPunch.Net",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStarted = _ => Interlocked.Increment(ref spans),
        };
        ActivitySource.AddActivityListener(listener);
        await using var pair = await Pair.OpenAsync(options => options.LoggerFactory = log);
        var (logged, traced, packets) = (log.Entries.Count, Volatile.Read(ref spans), pair.Near.GetStatistics().PacketsSent);
        Check.That(logged > 0 && traced > 0, "the connect had listeners");
        var writing = Task.Run(async () =>
        {
            for (var block = 0; block < Blocks; block++)
            {
                await pair.Near.WriteAsync(new byte[Block]);
            }
        });
        await pair.Far.ReadExactlyAsync(new byte[Block * Blocks]).AsTask().Within();
        await writing.Within();
        Check.That(pair.Near.GetStatistics().PacketsSent - packets > Block * Blocks / 65_507, "packets");
        Check.Equal(logged, log.Entries.Count);
        Check.Equal(traced, Volatile.Read(ref spans));

        // Streams of earlier tests may still end.
        Check.That(meter.Histogram("utp.rtt").Count() < 50, "histograms are told of streams, not of packets");
    }

    [Fact("a connect that fails is measured with its error, and its span has the peer and the error")]
    public static async Task Refused()
    {
        using var meter = new Reader();
        var spans = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "UtpPunch.Net",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = spans.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        await using var node = UtpNode.Bind(s_loopback);
        await using var peer = UtpNode.Bind(s_loopback);
        await Check.ThrowsAsync<UtpException>(async () => await node.ConnectAsync(peer.LocalEndPoint));
        Check.That(meter.Histogram("utp.connect.duration").Any(one => one.Tags == "error.type=ConnectionRefused"), "the connect was measured");
        var span = spans.Single();
        Check.Equal("utp.connect", span.OperationName);
        Check.Equal(ActivityKind.Client, span.Kind);
        Check.Equal(ActivityStatusCode.Error, span.Status);
        Check.Equal("utp udp ipv4 127.0.0.1 ConnectionRefused", string.Join(' ', new[]
        {
            "network.protocol.name", "network.transport", "network.type", "network.peer.address", "error.type",
        }.Select(span.GetTagItem)));
        Check.Equal((object)peer.LocalEndPoint.Port, span.GetTagItem("network.peer.port"));
    }

    [Fact("punches and uncommon rules are measured")]
    public static async Task Punched()
    {
        using var meter = new Reader();
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [s_loopback, s_loopback] });
        await using var node = UtpNode.Bind(s_loopback);
        await using var peer = UtpNode.Bind(s_loopback);
        var streams = await Task.WhenAll(new[] { node, peer }.Select(one =>
            new UtpRendezvousClient(one, server.LocalEndPoints[0]).ConnectAsync("room").AsTask()));
        Check.Equal(2, meter.Histogram("utp.punch.duration").Count(one => one.Tags == "utp.outcome=open"));
        foreach (var stream in streams)
        {
            stream.Abort();
        }

        var rules = node.GetRuleCounts().Where(rule => rule.Value > 0).Select(rule => rule.Key);
        var measured = meter.Read().Keys;
        Check.That(rules.All(rule => measured.Contains($"utp.rules utp.rule={rule}")), string.Join(", ", measured));
    }

    /// <summary>Listens to the meter.</summary>
    internal sealed class Reader : IDisposable
    {
        private readonly MeterListener _listener = new();
        private readonly ConcurrentQueue<(string Name, double Value, string Tags)> _histograms = new();
        private Dictionary<string, long> _values = [];

        public Reader()
        {
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "UtpPunch.Net")
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            };
            _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => _values[$"{instrument.Name} {Text(tags)}".TrimEnd()] = value);
            _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => _histograms.Enqueue((instrument.Name, value, Text(tags))));
            _listener.Start();
        }

        public IReadOnlyDictionary<string, long> Read()
        {
            _values = [];
            _listener.RecordObservableInstruments();
            return _values;
        }

        public IEnumerable<(double Value, string Tags)> Histogram(string name) =>
            _histograms.Where(one => one.Name == name).Select(one => (one.Value, one.Tags));

        public void Dispose() => _listener.Dispose();

        private static string Text(ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
            string.Join(' ', tags.ToArray().Select(tag => $"{tag.Key}={tag.Value}"));
    }
}
