using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace UtpPunch.Tests;

/// <summary>What a rendezvous server tells its host, and how it stops.</summary>
public static class Serving
{
    // Its kind in docs/punching.md.
    private const byte Acknowledge = 2;

    private static readonly IPEndPoint s_loopback = new(IPAddress.Loopback, 0);

    // A request of RFC 8489 without attributes; the last twelve bytes are the transaction.
    private static readonly byte[] s_stun = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, .. new byte[12]];

    [Fact("a rendezvous server logs its life, and what is not valid once a minute, with counts that add up")]
    public static async Task Life()
    {
        const int Count = 200;
        var log = new LogRecorder();
        await using (var server = Serve(log))
        {
            await SendUntilRefusedAsync(server, "no message of any protocol"u8.ToArray(), 1);
            await Waiting.UntilAsync(() => log.Of(46).Any());
            await SendUntilRefusedAsync(server, "no message of any protocol"u8.ToArray(), Count);
            Check.Equal("40 Debug, 46 Debug", Said(log));
        }

        Check.Equal("40 Debug, 46 Debug, 46 Debug, 41 Debug", Said(log));
        var counts = log.Of(46).Select(entry => int.Parse(entry.Text.Split(' ')[0], null)).ToArray();
        Check.That(counts[0] >= 1 && counts.Sum() >= Count, string.Join(", ", counts));
        Check.That(log.Of(41).Single().Text.Contains($"{counts.Sum()} datagrams refused", StringComparison.Ordinal), log.Of(41).Single().Text);
    }

    [Fact("a flood is a warning")]
    public static async Task Flood()
    {
        var log = new LogRecorder();
        await using (var server = Serve(log, options => (options.EnableStun, options.DatagramsPerSecondPerSource) = (true, 1)))
        {
            await SendUntilRefusedAsync(server, s_stun, 10);
        }

        var entry = log.Of(43).First();
        Check.Equal(LogLevel.Warning, entry.Level);
        Check.That(entry.Text.StartsWith("Too many datagrams: ", StringComparison.Ordinal) && !entry.Text.Contains(": 0 without", StringComparison.Ordinal), entry.Text);
        Check.That(!log.Of(46).Any(), "STUN is valid");
    }

    [Fact("registrations beyond the limits of a source, of a room and of the server are warnings that name no room and no address")]
    public static async Task Limits()
    {
        foreach (var (configure, error, id, told) in new (Action<UtpRendezvousServerOptions>, UtpError, int, string)[]
        {
            (options => options.MaxRegistrations = 1, UtpError.RendezvousFull, 45, "The server is full: 1 registrations"),
            (options => options.MaxRegistrationsPerSource = 1, UtpError.RendezvousFull, 44, "1 beyond the limit of a source and 0 of a room"),
            (options => options.MaxRegistrationsPerRoom = 1, UtpError.RoomFull, 44, "0 beyond the limit of a source and 1 of a room"),
        })
        {
            var log = new LogRecorder();
            await using var server = Serve(log, configure);
            await using var first = await Pair.BindAsync();
            await using var second = await Pair.BindAsync();
            using var leave = new CancellationTokenSource();
            await using var staying = new UtpRendezvousClient(first, server.LocalEndPoints[0]).AcceptAllAsync("dunes", cancellationToken: leave.Token)
                .GetAsyncEnumerator(leave.Token);
            var next = staying.MoveNextAsync().AsTask();
            await Waiting.UntilAsync(() => server.GetStatistics().WaitingPeers == 1);
            await using var refused = new UtpRendezvousClient(second, server.LocalEndPoints[0])
                .AcceptAllAsync(error == UtpError.RoomFull ? "dunes" : "woods").GetAsyncEnumerator();
            Check.Equal(error, (await Check.ThrowsAsync<UtpException>(() => refused.MoveNextAsync().AsTask().Within())).Error);
            await Waiting.UntilAsync(() => log.Of(id).Any());
            var entry = log.Of(id).First();
            Check.Equal(LogLevel.Warning, entry.Level);
            Check.That(entry.Text.Contains(told, StringComparison.Ordinal), entry.Text);
            Check.That(!entry.Text.Contains("dunes", StringComparison.Ordinal) && !entry.Text.Contains("127.", StringComparison.Ordinal), entry.Text);
            await leave.CancelAsync();
            await Check.ThrowsAsync<OperationCanceledException>(() => next.Within());
        }
    }

    [Fact("a rendezvous server that fails logs the cause, and its end does not throw")]
    public static async Task Fails()
    {
        var log = new LogRecorder();
        var transport = new Failing();
        await using var server = Serve(log, options => (options.LocalEndPoints, options.TransportFactory, options.EnableStun) = ([s_loopback], _ => transport, true));
        transport.Receive(s_stun);
        await Check.ThrowsAsync<FormatException>(() => server.Completion.Within());
        Check.Equal("40 Debug, 42 Error", Said(log));
        Check.That(log.Of(42).Single().Error is FormatException);
        await server.StopAsync(TimeSpan.FromSeconds(1)).Within();
    }

    [Fact("the meter has the load of a rendezvous server, and what it has counted also after its end")]
    public static async Task Measured()
    {
        using var factory = new OwnMeters();
        using var meter = new MeterReader(factory);
        using var shared = new MeterReader();
        var before = shared.Read().GetValueOrDefault("utp.rendezvous.registered");
        await using (var server = Serve(null, options => options.MeterFactory = factory))
        {
            await using var near = await Pair.BindAsync();
            await using var far = await Pair.BindAsync();
            var meeting = MeetAsync(near, server.LocalEndPoints[0]);
            await Waiting.UntilAsync(() => meter.Read()["utp.rendezvous.registrations"] == 1);
            Check.Equal(1L, meter.Read()["utp.rendezvous.rooms"]);
            var streams = await Task.WhenAll(meeting, MeetAsync(far, server.LocalEndPoints[0])).Within();
            await Waiting.UntilAsync(() => meter.Read()["utp.rendezvous.introductions.active"] == 0);
            Check.Equal(0L, meter.Read()["utp.rendezvous.registrations"]);
            foreach (var stream in streams)
            {
                stream.Abort();
            }

            await using var waiting = await Pair.BindAsync();
            _ = MeetAsync(waiting, server.LocalEndPoints[0]).ContinueWith(static late => _ = late.Exception, TaskScheduler.Default);
            await Waiting.UntilAsync(() => meter.Read()["utp.rendezvous.registrations"] == 1);
            await SendUntilRefusedAsync(server, "no message of any protocol"u8.ToArray(), 1);
            await server.DisposeAsync();
        }

        var end = meter.Read();
        Check.Equal((1L, 3L, 1L, 0L, 0L), (
            end["utp.rendezvous.introductions"], end["utp.rendezvous.registered"], Math.Min(1, end["utp.rendezvous.dropped"]),
            end["utp.rendezvous.registrations"], end["utp.rendezvous.rooms"]));
        Check.That(end["utp.rendezvous.challenged"] >= 3);
        Check.Equal(0L, end["utp.rendezvous.unsent"]);
        foreach (var name in new[] { "refused utp.reason=server", "refused utp.reason=source", "refused utp.reason=room", "reports utp.outcome=met", "reports utp.outcome=failed" })
        {
            Check.Equal(0L, end[$"utp.rendezvous.{name}"]);
        }

        Check.That(!end.Keys.Any(name => name.StartsWith("utp.io", StringComparison.Ordinal)), "a server is no node");
        Check.Equal(before, shared.Read().GetValueOrDefault("utp.rendezvous.registered"));
    }

    [Fact("a server stops at once if no introduction is under way, and its ports are free")]
    public static async Task StopsAtOnce()
    {
        await using var server = Serve(null);
        await using var waiting = await Pair.BindAsync();
        var meeting = MeetAsync(waiting, server.LocalEndPoints[0]);
        await Waiting.UntilAsync(() => server.GetStatistics().WaitingPeers == 1);
        await server.StopAsync(Timeout.InfiniteTimeSpan).Within();
        Check.That(server.Completion.IsCompletedSuccessfully);
        await using var next = Serve(null, options => options.LocalEndPoints = server.LocalEndPoints);
        await using var other = await Pair.BindAsync();
        var streams = await Task.WhenAll(meeting, MeetAsync(other, next.LocalEndPoints[0])).Within();
        streams[0].Abort();
        await server.StopAsync(TimeSpan.Zero).Within();
        await Check.ThrowsAsync<ArgumentOutOfRangeException>(() => next.StopAsync(TimeSpan.FromSeconds(-2)).AsTask());
    }

    [Fact("a server that stops serves its clients until the introduction under way is over, and no longer than it may")]
    public static async Task StopsLater()
    {
        await using var server = Serve(null);
        await IntroduceAsync(server, async () =>
        {
            var stopping = server.StopAsync(Timeout.InfiniteTimeSpan).AsTask();
            Check.That(!stopping.IsCompleted && !server.Completion.IsCompleted, "the introduction is under way");
            var registered = server.GetStatistics().WaitingPeers;
            await using var visitor = await Pair.BindAsync();
            var meeting = MeetAsync(visitor, server.LocalEndPoints[0], "another room");
            await Waiting.UntilAsync(() => server.GetStatistics().WaitingPeers > registered);
            Check.That(!stopping.IsCompleted);
            await stopping.Within();
            Check.Equal(0, server.GetStatistics().PendingIntroductions);
            visitor.Dispose();
            await ((Task)meeting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        });

        await using var hurried = Serve(null);
        await IntroduceAsync(hurried, async () =>
        {
            await hurried.StopAsync(TimeSpan.FromMilliseconds(1)).Within();
            Check.Equal(1, hurried.GetStatistics().PendingIntroductions);
        });

        await using var cancelled = Serve(null);
        await IntroduceAsync(cancelled, async () =>
        {
            using var cancel = new CancellationTokenSource();
            var stopping = cancelled.StopAsync(Timeout.InfiniteTimeSpan, cancel.Token).AsTask();
            await cancel.CancelAsync();
            await Check.ThrowsAsync<OperationCanceledException>(() => stopping.Within());
            Check.That(cancelled.Completion.IsCompletedSuccessfully);
            Check.Equal(1, cancelled.GetStatistics().PendingIntroductions);
        });
    }

    /// <summary>Two peers meet; the introduction stays under way, since the server does not get one peer's acknowledgements.</summary>
    private static async Task IntroduceAsync(UtpRendezvousServer server, Func<Task> act)
    {
        using var relay = new UdpRelay(
            server.LocalEndPoints[0],
            drop: (direction, _, datagram) => direction == RelayDirection.ToTarget && datagram.Length > 4 && datagram.Span[4] == Acknowledge);
        await using var near = await Pair.BindAsync();
        await using var far = await Pair.BindAsync();
        var meetings = new[] { MeetAsync(near, relay.EndPoint), MeetAsync(far, server.LocalEndPoints[0]) };
        await Waiting.UntilAsync(() => server.GetStatistics().PendingIntroductions == 1);
        await act();
        near.Dispose();
        far.Dispose();
        await ((Task)Task.WhenAll(meetings)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static Task<UtpStream> MeetAsync(UtpNode node, EndPoint server, string room = "room") =>
        new UtpRendezvousClient(node, server).ConnectAsync(room).AsTask();

    private static UtpRendezvousServer Serve(LogRecorder? log, Action<UtpRendezvousServerOptions>? configure = null)
    {
        var options = new UtpRendezvousServerOptions { LocalEndPoints = [s_loopback, s_loopback], LoggerFactory = log };
        configure?.Invoke(options);
        return UtpRendezvousServer.Bind(options);
    }

    private static async Task SendUntilRefusedAsync(UtpRendezvousServer server, byte[] datagram, long count)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        await Waiting.UntilAsync(() =>
        {
            socket.SendTo(datagram, server.LocalEndPoints[0]);
            return server.GetStatistics().DatagramsRefused >= count;
        });
    }

    private static string Said(LogRecorder log) => string.Join(", ", log.Entries.Select(entry => $"{entry.Id} {entry.Level}"));

    /// <summary>Fails by the first datagram that is sent.</summary>
    private sealed class Failing : UtpDatagramTransport
    {
        public override IPEndPoint LocalEndPoint { get; } = IPEndPoint.Parse("192.0.2.77:42000");

        public override void Send(ReadOnlySpan<byte> datagram, IPEndPoint remoteEndPoint, int hopLimit) => throw new FormatException("the mistake");

        public void Receive(ReadOnlySpan<byte> datagram) => OnReceived(datagram, IPEndPoint.Parse("192.0.2.1:9"));
    }
}
