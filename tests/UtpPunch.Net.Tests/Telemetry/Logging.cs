using System.Net;
using Microsoft.Extensions.Logging;

namespace UtpPunch.Tests;

/// <summary>What a node logs, by the ids that docs/telemetry.md promises.</summary>
public static class Logging
{
    private static readonly IPEndPoint s_loopback = new(IPAddress.Loopback, 0);

    [Fact("a node logs its life, its streams, and why one has failed")]
    public static async Task Streams()
    {
        var log = new LogRecorder();
        await using (var node = await BindAsync(log))
        {
            await using var peer = UtpNode.Bind(s_loopback);
            await using var listener = peer.Listen();
            var graceful = await node.ConnectAsync(peer.LocalEndPoint);
            await using (var accepted = await listener.AcceptAsync())
            {
                await graceful.WriteAsync("hello"u8.ToArray(), completeWrites: true);
                Check.Equal("hello", await new StreamReader(accepted).ReadToEndAsync());
            }

            Check.Equal(0, await graceful.ReadAsync(new byte[1]));
            await graceful.DisposeAsync();
            await graceful.Closed.WaitAsync(TimeSpan.FromSeconds(10));
            await using var broken = await node.ConnectAsync(peer.LocalEndPoint);
            (await listener.AcceptAsync()).Abort();
            await Check.ThrowsAsync<UtpException>(() => broken.Closed.WaitAsync(TimeSpan.FromSeconds(10)));
        }

        var said = string.Join(", ", log.Entries.Select(entry => $"{entry.Id} {entry.Level}"));
        Check.Equal("1 Debug, 10 Debug, 11 Debug, 10 Debug, 12 Information, 2 Debug", said);
        Check.That(log.Of(11).Single().Text.Contains("5 acknowledged", StringComparison.Ordinal), log.Of(11).Single().Text);
        Check.That(log.Of(12).Single().Text.Contains("ConnectionReset", StringComparison.Ordinal), log.Of(12).Single().Text);
    }

    [Fact("a node that fails logs the cause")]
    public static async Task NodeFails()
    {
        var log = new LogRecorder();
        await using var node = await BindAsync(log);
        node.Socket!.Dispose();
        await Check.ThrowsAsync<UtpException>(() => node.Completion.WaitAsync(TimeSpan.FromSeconds(10)));
        var entry = log.Of(3).Single();
        Check.Equal(LogLevel.Error, entry.Level);
        Check.That(entry.Error is not null);
    }

    [Fact("handlers of PathChanged are called in order; what one throws is logged")]
    public static async Task PathHandlers()
    {
        var log = new LogRecorder();
        await using var node = await BindAsync(log);
        await using var peer = UtpNode.Bind(s_loopback);
        _ = peer.Listen();
        using var stream = await node.ConnectAsync(peer.LocalEndPoint);
        var seen = new System.Collections.Concurrent.ConcurrentQueue<int>();
        stream.PathChanged += (sender, _) =>
        {
            seen.Enqueue(seen.Count);
            Thread.Yield();
            Check.Equal(1, seen.Count % 2, "every second call");
        };
        for (var count = 0; count < 10; count++)
        {
            stream.OnPathChanged(Addresses.ToEndpoint(peer.LocalEndPoint));
        }

        await Waiting.UntilAsync(() => seen.Count == 10 && log.Of(22).Any());
        Check.Equal("0123456789", string.Concat(seen));
        Check.Equal(LogLevel.Error, log.Of(22).First().Level);
    }

    [Fact("a connection that is refused is logged")]
    public static async Task Refused()
    {
        var log = new LogRecorder();
        await using var node = await BindAsync(log);
        await using var peer = UtpNode.Bind(s_loopback);
        await Check.ThrowsAsync<UtpException>(async () => await node.ConnectAsync(peer.LocalEndPoint));
        Check.That(log.Of(15).Single().Text.Contains("ConnectionRefused", StringComparison.Ordinal), log.Of(15).Single().Text);
        Check.That(!log.Of(12).Any(), "a stream that was never open has not failed");
    }

    [Fact("a handler of datagrams that throws is logged, once a second however many datagrams come")]
    public static async Task HandlerThrows()
    {
        const int Count = 100;
        var log = new LogRecorder();
        await using var node = await BindAsync(log);
        await using var peer = UtpNode.Bind(s_loopback);
        var calls = 0;
        node.DatagramHandler = (_, _, _) =>
        {
            Interlocked.Increment(ref calls);
            throw new InvalidOperationException("a fault of the application");
        };
        var started = DateTime.UtcNow;
        while (Volatile.Read(ref calls) < Count)
        {
            Check.That(DateTime.UtcNow - started < TimeSpan.FromSeconds(20), "the datagrams arrive");
            await peer.SendDatagramAsync("no uTP"u8.ToArray(), node.LocalEndPoint);
        }

        var seconds = (DateTime.UtcNow - started).TotalSeconds;
        var entries = log.Of(20).ToList();
        Check.That(entries.Count >= 1 && entries.Count <= seconds + 1, $"{entries.Count} messages in {seconds} s");
        Check.Equal(LogLevel.Error, entries[0].Level);
        Check.That(entries[0].Error is InvalidOperationException);
    }

    [Fact("a listener's filter that throws is logged, and refuses")]
    public static async Task FilterThrows()
    {
        var log = new LogRecorder();
        await using var node = await BindAsync(log);
        var faulty = new UtpListenOptions { Filter = (_, _) => throw new InvalidOperationException("a fault of the application") };
        await using var listener = node.Listen(faulty);
        await using var peer = UtpNode.Bind(s_loopback);
        await Check.ThrowsAsync<UtpException>(async () =>
        {
            await using var stream = await peer.ConnectAsync(node.LocalEndPoint);
            await stream.ReadExactlyAsync(new byte[1]);
        });
        Check.That(log.Of(21).Single().Error is InvalidOperationException);
    }

    [Fact("a punch that finds a path is logged at both sides, and one that does not")]
    public static async Task Punches()
    {
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [s_loopback, s_loopback] });
        var log = new LogRecorder();
        await using var node = await BindAsync(log);
        await using var peer = await BindAsync(log);
        var streams = await Task.WhenAll(new[] { node, peer }.Select(one =>
            new UtpRendezvousClient(one, server.LocalEndPoints[0]).ConnectAsync("room").AsTask()));
        Check.Equal(2, log.Of(30).Count());
        foreach (var stream in streams)
        {
            stream.Abort();
        }

        var alone = new UtpPunchOptions { Timeout = TimeSpan.FromMilliseconds(100) };
        await Check.ThrowsAsync<UtpException>(async () => await new UtpRendezvousClient(node, server.LocalEndPoints[0]).ConnectAsync("empty", alone));
        Check.Equal(1, log.Of(31).Count());
    }

    [Fact("a progress that throws is logged, and the punch goes on; a peer that opens no stream is logged by the service that awaits it")]
    public static async Task RoomCallbacks()
    {
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [s_loopback, s_loopback] });
        var log = new LogRecorder();
        await using var service = await UtpNode.BindAsync(new UtpNodeOptions
        {
            LocalEndPoint = s_loopback,
            LoggerFactory = log,
            ConnectTimeout = TimeSpan.FromMilliseconds(300),
        });
        using var leaving = new CancellationTokenSource();
        var accepting = new UtpRendezvousClient(service, server.LocalEndPoints[0]).AcceptAllAsync("room", cancellationToken: leaving.Token)
            .GetAsyncEnumerator();
        var next = accepting.MoveNextAsync().AsTask();

        // Of some peers the service opens the stream, of others it awaits it.
        while (!log.Of(32).Any())
        {
            await using var visitor = await BindAsync(log);
            var punch = await new UtpRendezvousClient(visitor, server.LocalEndPoints[0]).PunchAsync(
                "room", new UtpPunchOptions { Progress = new Faulty() }).Within();
            Check.That(punch.Success, punch.Explanation);
            Check.That(log.Of(23).First().Error is InvalidOperationException);
            await Task.WhenAny(next, Waiting.UntilAsync(() => log.Of(32).Any()));
            if (next.IsCompleted)
            {
                accepting.Current.Abort();
                next = accepting.MoveNextAsync().AsTask();
            }
        }

        await leaving.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => next.Within());
    }

    private sealed class Faulty : IProgress<UtpPunchProgress>
    {
        public void Report(UtpPunchProgress value) => throw new InvalidOperationException("a fault of the application");
    }

    private static ValueTask<UtpNode> BindAsync(LogRecorder log) =>
        UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = s_loopback, LoggerFactory = log });
}
