using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;

namespace UtpPunch.Tests;

/// <summary>The spans of meetings and punches.</summary>
public static class Tracing
{
    private static readonly IPEndPoint s_loopback = new(IPAddress.Loopback, 0);

    [Fact("a meeting is a span with the punch and the connect as its children, which name no room, and an address only of the peer that is dialled")]
    public static async Task Meeting()
    {
        using var spans = new Recorder();
        await using var server = Serve();
        await using var node = await Pair.BindAsync();
        await using var peer = await Pair.BindAsync();
        var streams = await Task.WhenAll(new[] { node, peer }.Select(one =>
            new UtpRendezvousClient(one, server.LocalEndPoints[0]).ConnectAsync("dunes", new UtpPunchOptions { Secret = "between us" }).AsTask())).Within();
        foreach (var stream in streams)
        {
            stream.Abort();
        }

        Check.Equal(6, spans.Ended.Count);
        foreach (var meeting in spans.Of("utp.rendezvous.connect"))
        {
            Check.Equal((ActivityKind.Client, ActivityStatusCode.Unset, 2), (meeting.Kind, meeting.Status, spans.ChildrenOf(meeting).Count));
            var punch = spans.ChildrenOf(meeting).Single(span => span.OperationName == "utp.punch");
            Check.Equal("open endpoint_independent endpoint_independent", Tags(punch, "utp.outcome", "utp.nat.own", "utp.nat.peer"));
            Check.That(punch.Duration > TimeSpan.Zero && punch.Status == ActivityStatusCode.Unset);
            var connect = spans.ChildrenOf(meeting).Single(span => span.OperationName == "utp.connect");
            Check.Equal(Tags(punch, "utp.path.kind"), Tags(connect, "utp.path.kind"));
            Check.That(Tags(connect, "utp.path.kind").Length > 0);
        }

        var said = spans.Ended.SelectMany(span => span.TagObjects.Select(tag => $"{span.OperationName} {tag.Key} {tag.Value}")).ToArray();
        Check.That(!said.Any(it => it.Contains("dunes", StringComparison.Ordinal) || it.Contains("between us", StringComparison.Ordinal)), string.Join('\n', said));
        Check.That(said.Where(it => it.Contains("127.0.0.1", StringComparison.Ordinal)).All(it => it.StartsWith("utp.connect network.peer.address", StringComparison.Ordinal)));
    }

    [Fact("punches that fail are spans with the stage and the error, by a room, an offer and the npm package's protocol")]
    public static async Task Failures()
    {
        using var spans = new Recorder();
        await using var server = Serve();
        await using var node = await Pair.BindAsync();
        var soon = new UtpPunchOptions { Timeout = TimeSpan.FromSeconds(1), PunchTimeout = TimeSpan.FromSeconds(1) };
        var client = new UtpRendezvousClient(node, server.LocalEndPoints[0]);
        await Check.ThrowsAsync<UtpException>(() => client.ConnectAsync("dunes", soon).AsTask().Within());
        using var offer = await node.CreateOfferAsync([], soon);
        string answer;
        await using (var gone = await Pair.BindAsync())
        {
            using var theirs = await gone.CreateAnswerAsync(offer.Text, [], soon);
            answer = theirs.Text;
        }

        Check.That(!(await node.PunchAsync(offer, answer).Within()).Success);
        Check.That(!(await node.PunchNpmAsync(new IPEndPoint(IPAddress.Loopback, 9), attempts: 1).Within()).Success);
        await Check.ThrowsAsync<UtpException>(() => node.PunchAsync(offer, "no offer").AsTask().Within());
        Check.Equal(
            """
            failed NoPeer PeerNotFound
            failed NothingHeard PunchFailed
            failed NothingHeard PunchFailed
              InvalidOffer
            """,
            string.Join('\n', spans.Of("utp.punch").Select(span => Tags(span, "utp.outcome", "utp.punch.stage", "error.type"))));
        var meeting = spans.Of("utp.rendezvous.connect").Single();
        Check.Equal((ActivityStatusCode.Error, "PeerNotFound"), (meeting.Status, Tags(meeting, "error.type")));
        Check.That(spans.Ended.All(span => span.Status == ActivityStatusCode.Error));
    }

    [Fact("what is cancelled is a span with the error OperationCanceledException, and has that outcome in the meter")]
    public static async Task Cancelled()
    {
        using var factory = new OwnMeters();
        using var meter = new MeterReader(factory);
        using var spans = new Recorder();
        await using var server = Serve();
        await using var node = await Pair.BindAsync(options => options.MeterFactory = factory);
        using var cancel = new CancellationTokenSource();
        var meeting = new UtpRendezvousClient(node, server.LocalEndPoints[0]).ConnectAsync("dunes", cancellationToken: cancel.Token).AsTask();
        await Waiting.UntilAsync(() => server.GetStatistics().WaitingPeers == 1);
        await cancel.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => meeting.Within());
        Check.Equal("utp.punch utp.rendezvous.connect", string.Join(' ', spans.Ended.Select(span => span.OperationName)));
        Check.That(spans.Ended.All(span => Tags(span, "error.type") == "OperationCanceledException" && span.Status == ActivityStatusCode.Error));
        await Waiting.UntilAsync(() => meter.Histogram("utp.punch.duration").Any());
        Check.Equal("utp.outcome=cancelled", meter.Histogram("utp.punch.duration").Single().Tags);
        var punches = meter.Read().Single(one => one.Key.StartsWith("utp.punches", StringComparison.Ordinal));
        Check.That(punches.Value == 1 && punches.Key.EndsWith("error.type=OperationCanceledException", StringComparison.Ordinal), punches.Key);
    }

    [Fact("a node that stays in a room has a span for each punch, as long as the punch, and none for leaving")]
    public static async Task Staying()
    {
        using var spans = new Recorder();
        await using var server = Serve();
        await using var host = await Pair.BindAsync();
        await using var visitor = await Pair.BindAsync();
        using var leave = new CancellationTokenSource();
        await using var accepting = new UtpRendezvousClient(host, server.LocalEndPoints[0]).AcceptAllAsync("dunes", cancellationToken: leave.Token)
            .GetAsyncEnumerator(leave.Token);
        var next = accepting.MoveNextAsync().AsTask();
        var punch = await new UtpRendezvousClient(visitor, server.LocalEndPoints[0]).PunchAsync("dunes").Within();
        await using var stream = await punch.Path!.OpenAsync().Within();
        Check.That(await next.Within());
        await leave.CancelAsync();
        Check.Equal(2, spans.Of("utp.punch").Count);
        Check.That(spans.Of("utp.punch").All(span => Tags(span, "utp.outcome") == "open" && span.Duration > TimeSpan.Zero));
        Check.Equal(2, spans.Of("utp.connect").Count);
        accepting.Current.Abort();
    }

    private static UtpRendezvousServer Serve() =>
        UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [s_loopback, s_loopback], DatagramsPerSecondPerSource = 10_000 });

    private static string Tags(Activity span, params string[] names) => string.Join(' ', names.Select(name => $"{span.GetTagItem(name)}"));

    /// <summary>Keeps the spans of the library that have ended, in that order.</summary>
    private sealed class Recorder : IDisposable
    {
        private readonly ConcurrentQueue<Activity> _spans = new();
        private readonly ActivityListener _listener;

        // What earlier tests have left behind belongs to other traces.
        private readonly Activity _root = new Activity("test").Start();

        public Recorder()
        {
            _listener = new ActivityListener
            {
                ShouldListenTo = source => source.Name == "UtpPunch.Net" && source.Version?.Length > 0,
                Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
                ActivityStopped = _spans.Enqueue,
            };
            ActivitySource.AddActivityListener(_listener);
        }

        public IReadOnlyList<Activity> Ended => [.. _spans.Where(span => span.TraceId == _root.TraceId)];

        public IReadOnlyList<Activity> Of(string name) => [.. Ended.Where(span => span.OperationName == name)];

        public IReadOnlyList<Activity> ChildrenOf(Activity parent) => [.. Ended.Where(span => span.ParentSpanId == parent.SpanId)];

        public void Dispose()
        {
            _root.Dispose();
            _listener.Dispose();
        }
    }
}
