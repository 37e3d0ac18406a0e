using System.Collections.Concurrent;
using System.Diagnostics;
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
        using var meter = new MeterReader();
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
        Check.That(meter.Histogram("utp.congestion_window").Any(one => one.Value > 1000), "the window was measured");
        var delays = meter.Histogram("utp.queueing_delay").Select(one => one.Value).ToArray();
        Check.That(delays.Length > 0 && delays.All(delay => delay is >= 0 and < 10), string.Join(", ", delays));
    }

    [Fact("100 MB over an open stream call no listener, whatever listens: packets cost nothing")]
    public static async Task NothingPerPacket()
    {
        const int Block = 1_000_000;
        const int Blocks = 100;
        var log = new LogRecorder();
        var spans = 0;
        using var meter = new MeterReader();
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
        using var meter = new MeterReader();
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

    [Fact("streams that both peers open at once are measured when they open, and when they are cancelled")]
    public static async Task Simultaneous()
    {
        var factory = new OwnMeters();
        using var meter = new MeterReader(factory);
        await using var one = await Pair.BindAsync(options => options.MeterFactory = factory);
        await using var other = await Pair.BindAsync(options => options.MeterFactory = factory);
        var both = new UtpConnectOptions { Simultaneous = true };
        var streams = await Task.WhenAll(
            one.ConnectAsync(other.LocalEndPoint, both).AsTask(), other.ConnectAsync(one.LocalEndPoint, both).AsTask()).Within();
        Check.Equal("|", string.Join('|', meter.Histogram("utp.connect.duration").Select(it => it.Tags)));
        foreach (var stream in streams)
        {
            stream.Abort();
        }

        using var cancel = new CancellationTokenSource();
        await using var alone = await Pair.BindAsync(options => options.MeterFactory = factory);
        var connecting = alone.ConnectAsync(new IPEndPoint(IPAddress.Loopback, 9), both, cancel.Token).AsTask();
        await Waiting.UntilAsync(() => alone.GetStatistics().OutgoingConnections == 1);
        await cancel.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => connecting.Within());
        Check.Equal("error.type=OperationCanceledException", meter.Histogram("utp.connect.duration").Last().Tags);
    }

    [Fact("paths that are lost and found are counted")]
    public static async Task Paths()
    {
        var factory = new OwnMeters();
        using var meter = new MeterReader(factory);
        await using var pair = await Pair.OpenAsync(options => options.MeterFactory = factory);
        pair.Near.OnPathLost();
        pair.Near.OnPathChanged(Addresses.ToEndpoint(pair.Near.RemoteEndPoint));
        pair.Near.OnPathChanged(Addresses.ToEndpoint(pair.Near.RemoteEndPoint));
        Check.Equal(1L, meter.Read()["utp.path.changes utp.path.event=lost"]);
        Check.Equal(2L, meter.Read()["utp.path.changes utp.path.event=found"]);
    }

    [Fact("of a meeting at two servers one punch is open, and the other one is cancelled, not failed")]
    public static async Task TwoServers()
    {
        var factory = new OwnMeters();
        using var meter = new MeterReader(factory);
        await using var first = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [s_loopback] });
        await using var second = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [s_loopback] });
        await using var node = await Pair.BindAsync(options => options.MeterFactory = factory);
        await using var peer = await Pair.BindAsync();
        var meeting = new UtpRendezvousClient(node, [first.LocalEndPoints[0], second.LocalEndPoints[0]]).PunchAsync("room").AsTask();
        await Waiting.UntilAsync(() => second.GetStatistics().WaitingPeers == 1);
        Check.That((await new UtpRendezvousClient(peer, first.LocalEndPoints[0]).PunchAsync("room").Within()).Success);
        Check.That((await meeting.Within()).Success);
        await Waiting.UntilAsync(() => meter.Histogram("utp.punch.duration").Count() == 2);
        Check.Equal("utp.outcome=cancelled utp.outcome=open", string.Join(' ', meter.Histogram("utp.punch.duration").Select(one => one.Tags).Order()));
        Check.Equal(2L, meter.Read().Where(one => one.Key.StartsWith("utp.punches", StringComparison.Ordinal)).Sum(one => one.Value));
    }

    [Fact("punches and uncommon rules are measured")]
    public static async Task Punched()
    {
        using var meter = new MeterReader();
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [s_loopback, s_loopback] });
        await using var node = UtpNode.Bind(s_loopback);
        await using var peer = UtpNode.Bind(s_loopback);
        var streams = await Task.WhenAll(new[] { node, peer }.Select(one =>
            new UtpRendezvousClient(one, server.LocalEndPoints[0]).ConnectAsync("room").AsTask()));
        Check.Equal(2, meter.Histogram("utp.punch.duration").Count(one => one.Tags == "utp.outcome=open"));
        const string Open = "utp.punches utp.outcome=open utp.nat.own=endpoint_independent utp.nat.peer=endpoint_independent utp.path.kind=";
        Check.Equal(2L, meter.Read().Where(one => one.Key.StartsWith(Open, StringComparison.Ordinal)).Sum(one => one.Value));
        Check.Equal(2, meter.Histogram("utp.connect.duration").Count(one => one.Tags.StartsWith("utp.path.kind=", StringComparison.Ordinal)));
        foreach (var stream in streams)
        {
            stream.Abort();
        }

        var rules = node.GetRuleCounts().Where(rule => rule.Value > 0).Select(rule => rule.Key);
        var measured = meter.Read().Keys;
        Check.That(rules.All(rule => measured.Contains($"utp.rules utp.rule={rule}")), string.Join(", ", measured));
    }
}
