using System.Net;

namespace UtpPunch.Tests;

/// <summary>Accepting streams.</summary>
public static class Listening
{
    [Fact("a node listens once at a time")]
    public static async Task Once()
    {
        await using var node = await Pair.BindAsync();
        var first = node.Listen();
        Check.Throws<InvalidOperationException>(() => node.Listen());
        await first.DisposeAsync();
        await first.DisposeAsync();
        var second = node.Listen();
        await using var client = await Pair.BindAsync();
        var near = await client.ConnectAsync(node.LocalEndPoint).Within();
        await second.AcceptAsync().Within();
        near.Abort();
        client.Dispose();
        node.Dispose();
    }

    [Fact("accepts are served in their order, whether they or the streams come first")]
    public static async Task InTurn()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var listener = server.Listen();
        var first = listener.AcceptAsync().AsTask();
        var second = listener.AcceptAsync().AsTask();
        var streams = new List<UtpStream>();
        for (var index = 0; index < 4; index++)
        {
            streams.Add(await client.ConnectAsync(server.LocalEndPoint).Within());
            await streams[index].WriteAsync(new[] { (byte)index }).Within();
            if (index == 3)
            {
                await Waiting.UntilAsync(() => listener.PendingConnections == 2);
            }
        }

        Check.Equal(0, (await first.Within()).ReadByte());
        Check.Equal(1, (await second.Within()).ReadByte());
        Check.Equal(2, (await listener.AcceptAsync().Within()).ReadByte());
        Check.Equal(3, (await listener.AcceptAsync().Within()).ReadByte());
        Check.Equal(0, listener.PendingConnections);
        client.Dispose();
        server.Dispose();
    }

    [Fact("a cancelled accept loses no stream")]
    public static async Task CancelledAccept()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var listener = server.Listen();
        using var source = new CancellationTokenSource();
        var accepting = listener.AcceptAsync(source.Token).AsTask();
        await source.CancelAsync();
        var error = await Check.ThrowsAsync<OperationCanceledException>(() => accepting.Within());
        Check.Equal(source.Token, error.CancellationToken);
        Check.That(listener.AcceptAsync(source.Token).IsCanceled);
        var near = await client.ConnectAsync(server.LocalEndPoint).Within();
        var far = await listener.AcceptAsync().Within();
        Check.Equal(near.LocalEndPoint, far.RemoteEndPoint);
        client.Dispose();
        server.Dispose();
    }

    [Fact("an accept that is cancelled just before or just after a stream comes leaves the stream to the next accept, or returns it")]
    public static async Task CancelledAcceptMeetsStream()
    {
        await using var server = await Pair.BindAsync();
        var listener = server.Listen();
        for (var round = 0; round < 500; round++)
        {
            var remote = Addresses.ToEndpoint(new IPEndPoint(IPAddress.Loopback, 1 + round));
            var stream = UtpStream.Accepted(server.Engine, 1_000_001 + (2 * round), remote, 7);
            using var source = new CancellationTokenSource();

            // Callbacks of a token run in reverse order, on the thread that cancels: the stream comes right behind the cancellation of
            // the accept, before that is removed from the queue, or right before it.
            var comesFirst = round % 2 == 0;
            using var before = comesFirst ? default : source.Token.Register(() => listener.Offer(stream));
            var accepting = listener.AcceptAsync(source.Token).AsTask();
            using var after = comesFirst ? source.Token.Register(() => listener.Offer(stream)) : default;
            source.Cancel();
            if (!comesFirst)
            {
                await Check.ThrowsAsync<OperationCanceledException>(() => accepting.Within());
                accepting = listener.AcceptAsync().AsTask();
            }

            Check.That(ReferenceEquals(stream, await accepting.Within()), $"round {round}");
            Check.Equal(0, listener.PendingConnections);
        }
    }

    [Fact("disposing a listener ends its accepts, resets streams that were not taken, and keeps those that were taken")]
    public static async Task DisposedListener()
    {
        await using var pair = await Pair.OpenAsync();
        var untaken = await pair.Client.ConnectAsync(pair.Server.LocalEndPoint).Within();
        await Waiting.UntilAsync(() => pair.Listener.PendingConnections == 1);
        await pair.Listener.DisposeAsync();
        await Check.ThrowsAsync<ObjectDisposedException>(() => pair.Listener.AcceptAsync().AsTask());
        Check.Equal(UtpError.ConnectionReset, (await Check.ThrowsAsync<UtpException>(() => untaken.ReadAsync(new byte[1]).Within())).Error);
        await pair.Near.WriteAsync(new byte[] { 3 }).Within();
        Check.Equal(3, pair.Far.ReadByte());
        var refused = await Check.ThrowsAsync<UtpException>(() => pair.Client.ConnectAsync(pair.Server.LocalEndPoint).Within());
        Check.Equal(UtpError.ConnectionRefused, refused.Error);
    }

    [Fact("accepting all ends quietly when the listener is disposed")]
    public static async Task AcceptAllEnds()
    {
        await using var pair = await Pair.OpenAsync();
        var accepting = Task.Run(async () =>
        {
            await foreach (var stream in pair.Listener.AcceptAllAsync())
            {
                stream.Abort();
            }
        });
        await pair.Listener.DisposeAsync();
        await accepting.Within();
    }

    [Fact("accepting all ends quietly when the node is closed, and accepting fails")]
    public static async Task NodeClosed()
    {
        await using var pair = await Pair.OpenAsync();
        var accepting = Task.Run(async () =>
        {
            await foreach (var stream in pair.Listener.AcceptAllAsync())
            {
                stream.Abort();
            }
        });
        pair.Server.Dispose();
        await accepting.Within();
        Check.Equal(UtpError.NodeClosed, (await Check.ThrowsAsync<UtpException>(() => pair.Listener.AcceptAsync().Within())).Error);
    }

    [Fact("the backlog limits the streams that wait, and a peer beyond it is not refused but not answered")]
    public static async Task Backlog()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync(options => options.InitialRetransmitTimeout = TimeSpan.FromMilliseconds(100));
        var listener = server.Listen(new UtpListenOptions { Backlog = 2 });
        var first = await client.ConnectAsync(server.LocalEndPoint).Within();
        var second = await client.ConnectAsync(server.LocalEndPoint).Within();
        await Waiting.UntilAsync(() => listener.PendingConnections == 2);
        var third = client.ConnectAsync(server.LocalEndPoint).AsTask();
        await Waiting.UntilAsync(() => server.GetRuleCounts()["AcceptQueueFull"] > 0);
        Check.That(!third.IsCompleted);
        Check.Equal(first.LocalEndPoint, (await listener.AcceptAsync().Within()).RemoteEndPoint);
        await third.Within();
        Check.That(second.CanRead);
        client.Dispose();
        server.Dispose();
    }

    [Fact("a stream that waits to be accepted keeps what was sent; one that was reset is not accepted")]
    public static async Task WaitingStreams()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var listener = server.Listen();
        var reset = await client.ConnectAsync(server.LocalEndPoint).Within();
        await Waiting.UntilAsync(() => listener.PendingConnections == 1);
        reset.Abort();
        await Waiting.UntilAsync(() => listener.PendingConnections == 0);
        var ended = await client.ConnectAsync(server.LocalEndPoint).Within();
        await ended.WriteAsync(new byte[] { 1, 2, 3 }, completeWrites: true).Within();
        await ended.WritesClosed.Within();
        var far = await listener.AcceptAsync().Within();
        Waiting.Same([1, 2, 3], await far.ReadToEndAsync());
        client.Dispose();
        server.Dispose();
    }

    [Fact("a filter decides which peers may connect; one that throws admits none")]
    public static async Task Filter()
    {
        await using var server = await Pair.BindAsync();
        await using var welcome = await Pair.BindAsync();
        await using var unwelcome = await Pair.BindAsync();
        var asked = new List<IPEndPoint>();
        var listener = server.Listen(new UtpListenOptions
        {
            Filter = (peer, _) =>
            {
                lock (asked)
                {
                    asked.Add(peer);
                }

                return peer.Equals(welcome.LocalEndPoint) ? ValueTask.FromResult(true) : throw new InvalidOperationException("Go away.");
            },
        });
        var refused = await Check.ThrowsAsync<UtpException>(() => unwelcome.ConnectAsync(server.LocalEndPoint).Within());
        Check.Equal(UtpError.ConnectionRefused, refused.Error);
        Check.Equal(unwelcome.LocalEndPoint.Address, refused.RemoteEndPoint!.Address);
        Check.Equal(0L, unwelcome.GetRuleCounts().GetValueOrDefault("HandshakeRetransmit"));
        Check.Equal(1L, server.GetRuleCounts()["PeerRefused"]);
        var good = await welcome.ConnectAsync(server.LocalEndPoint).Within();
        Check.Equal(good.LocalEndPoint, (await listener.AcceptAsync().Within()).RemoteEndPoint);
        lock (asked)
        {
            Check.That(asked.SequenceEqual([unwelcome.LocalEndPoint, welcome.LocalEndPoint]));
        }

        Check.Equal(0, listener.PendingConnections);
        welcome.Dispose();
        server.Dispose();
        unwelcome.Dispose();
    }

    [Fact("a filter that takes its time delays only the peer that it decides about, and its token ends with the listener")]
    public static async Task SlowFilter()
    {
        await using var server = await Pair.BindAsync();
        await using var waits = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        var asked = new SemaphoreSlim(0);
        var decision = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        var ended = new TaskCompletionSource();
        var count = 0;
        var listener = server.Listen(new UtpListenOptions
        {
            Filter = async (peer, cancellationToken) =>
            {
                if (peer.Equals(other.LocalEndPoint))
                {
                    return true;
                }

                asked.Release();
                if (Interlocked.Increment(ref count) == 1)
                {
                    return await decision.Task;
                }

                await Task.Delay(Timeout.Infinite, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                ended.SetResult();
                return true;
            },
        });
        var slow = waits.ConnectAsync(server.LocalEndPoint).AsTask();
        await asked.WaitAsync().Within();
        await other.ConnectAsync(server.LocalEndPoint).Within();
        Check.That(!slow.IsCompleted);
        decision.SetResult(true);
        await slow.Within();
        var late = waits.ConnectAsync(server.LocalEndPoint).AsTask();
        await asked.WaitAsync().Within();
        await listener.DisposeAsync();
        await ended.Task.Within();
        var error = await Check.ThrowsAsync<UtpException>(() => late.Within());
        Check.Equal(UtpError.ConnectionRefused, error.Error);
    }
}
