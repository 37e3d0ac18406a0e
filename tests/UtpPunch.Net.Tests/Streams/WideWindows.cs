namespace UtpPunch.Tests;

/// <summary>Races with a widened window: the other party acts within a callback, a result is fetched late, or the path is slow.</summary>
public static class WideWindows
{
    private const int StreamOpened = 10;

    // Far longer than any of these waits takes, and short enough for hunting mutants.
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(5);

    [Fact("an accept that is cancelled just as a stream arrives leaves the stream to the next accept")]
    public static async Task AcceptCancelledAsAStreamComes()
    {
        // The message that a stream is open comes just before the stream is offered.
        var log = new LogRecorder();
        await using var server = await Pair.BindAsync(options => options.LoggerFactory = log);
        await using var client = await Pair.BindAsync();
        CancellationTokenSource? cancelled = null;
        var listener = server.Listen();
        log.Logged = id =>
        {
            if (id == StreamOpened)
            {
                // The accept is still in the queue: it is removed there on the pool.
                cancelled?.Cancel();
            }
        };
        for (var round = 0; round < 20; round++)
        {
            using var source = new CancellationTokenSource();
            var accepting = listener.AcceptAsync(source.Token).AsTask();
            cancelled = source;
            var near = await client.ConnectAsync(server.LocalEndPoint).Within();
            await Check.ThrowsAsync<OperationCanceledException>(() => accepting.Within());
            cancelled = null;
            var far = await listener.AcceptAsync().AsTask().WaitAsync(Soon);
            await near.WriteAsync(new[] { (byte)round }).Within();
            Check.Equal(round, far.ReadByte());
            near.Abort();
            far.Abort();
        }
    }

    [Fact("a stream that arrives just as its listener is disposed is reset, and the accept that waited fails")]
    public static async Task ListenerDisposedAsAStreamComes()
    {
        var log = new LogRecorder();
        await using var server = await Pair.BindAsync(options => options.LoggerFactory = log);
        await using var client = await Pair.BindAsync();
        for (var round = 0; round < 5; round++)
        {
            var listener = server.Listen();
            log.Logged = id => _ = id == StreamOpened && listener.DisposeAsync().IsCompleted;
            var accepting = listener.AcceptAsync().AsTask();
            var near = await client.ConnectAsync(server.LocalEndPoint).Within();
            var error = await Check.ThrowsAsync<UtpException>(() => near.ReadAsync(new byte[1]).AsTask().WaitAsync(Soon));
            Check.Equal(UtpError.ConnectionReset, error.Error);
            await Check.ThrowsAsync<ObjectDisposedException>(() => accepting.WaitAsync(Soon));
            Check.Equal(0, listener.PendingConnections);
        }
    }

    [Fact("a stream whose listener is disposed by the filter that admits it is refused, and the accept that waited fails")]
    public static async Task ListenerDisposedByItsFilter()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        for (var round = 0; round < 5; round++)
        {
            UtpListener? listener = null;
            listener = server.Listen(new UtpListenOptions { Filter = (_, _) => ValueTask.FromResult(listener!.DisposeAsync().IsCompleted) });
            var accepting = listener.AcceptAsync().AsTask();
            var error = await Check.ThrowsAsync<UtpException>(() => client.ConnectAsync(server.LocalEndPoint).AsTask().WaitAsync(Soon));
            Check.Equal(UtpError.ConnectionRefused, error.Error);
            await Check.ThrowsAsync<ObjectDisposedException>(() => accepting.WaitAsync(Soon));
            Check.Equal(0, listener.PendingConnections);
        }
    }

    [Fact("a read that was cancelled has taken nothing, also when bytes arrive before its result is fetched")]
    public static async Task CancelledReadFetchedLate()
    {
        await using var pair = await Pair.OpenAsync();
        for (var round = 0; round < 20; round++)
        {
            using var source = new CancellationTokenSource();
            var buffer = new byte[3];
            var reading = pair.Far.ReadAsync(buffer, source.Token);
            await source.CancelAsync();
            await pair.Near.WriteAsync(new[] { (byte)round, (byte)1, (byte)2 }).Within();
            await pair.Near.DrainAsync().Within();

            // The bytes have arrived, and the cancelled read has not been fetched.
            await Check.ThrowsAsync<OperationCanceledException>(async () => await reading);
            Waiting.Same([0, 0, 0], buffer);
            await pair.Far.ReadExactlyAsync(buffer).AsTask().WaitAsync(Soon);
            Waiting.Same([(byte)round, 1, 2], buffer);
        }
    }

    [Fact("a read that is cancelled while bytes arrive takes all of them or none")]
    public static async Task ReadCancelledAsBytesCome()
    {
        await using var pair = await Pair.OpenAsync();
        var buffer = new byte[2];
        for (var round = 0; round < 300; round++)
        {
            using var source = new CancellationTokenSource();
            var reading = pair.Far.ReadAsync(buffer, source.Token).AsTask();
            var cancelling = round % 2 == 0 ? Task.Run(source.Cancel) : Task.CompletedTask;
            pair.Near.Write([(byte)round, (byte)~round]);
            if (round % 2 != 0)
            {
                await source.CancelAsync();
            }

            await cancelling.Within();
            try
            {
                Check.Equal(2, await reading.Within());
            }
            catch (OperationCanceledException)
            {
                await pair.Far.ReadExactlyAsync(buffer).AsTask().WaitAsync(Soon);
            }

            Waiting.Same([(byte)round, (byte)~round], buffer);
        }
    }

    [Fact("a drain completes when the peer has acknowledged what was written before it, and not before, over a slow path")]
    public static async Task DrainsOverASlowPath()
    {
        const int Part = 60_000;
        await using var server = await Pair.BindAsync();
        using var relay = UdpRelay.Symmetric(server.LocalEndPoint, new RelayPath { Delay = TimeSpan.FromMilliseconds(20) });
        await using var client = await Pair.BindAsync();
        var accepting = server.Listen().AcceptAsync().AsTask();
        var near = await client.ConnectAsync(relay.EndPoint).Within();
        var reading = (await accepting.Within()).ReadToEndAsync();
        var drains = new List<Task<(long Wanted, long Acknowledged)>>();
        for (var part = 1; part <= 6; part++)
        {
            await near.WriteAsync(new byte[Part]).Within();
            drains.Add(DrainAsync(part * Part));
        }

        near.CompleteWrites();
        foreach (var (wanted, acknowledged) in await Task.WhenAll(drains).Within())
        {
            Check.That(acknowledged >= wanted, $"{acknowledged} of {wanted} bytes were acknowledged");
        }

        Check.Equal(6 * Part, (await reading).Length);
        client.Dispose(); // It need not wait for the server to end its side.

        async Task<(long, long)> DrainAsync(long wanted)
        {
            await near.DrainAsync();
            return (wanted, near.GetStatistics().BytesAcknowledged);
        }
    }

    [Fact("a drain covers what was written before it although the node has not seen those bytes yet")]
    public static async Task DrainsWhatTheNodeHasNotSeen()
    {
        await using var server = await Pair.BindAsync();
        using var relay = UdpRelay.Symmetric(server.LocalEndPoint, new RelayPath { Delay = TimeSpan.FromMilliseconds(20) });
        await using var client = await Pair.BindAsync();
        var accepting = server.Listen().AcceptAsync().AsTask();
        var near = await client.ConnectAsync(relay.EndPoint).Within();
        var reading = (await accepting.Within()).ReadToEndAsync();
        await near.WriteAsync(new byte[1000]).Within();
        await near.DrainAsync().Within();

        // The node's loop is blocked in a callback while a user writes and drains.
        using var inside = new SemaphoreSlim(0);
        using var leave = new SemaphoreSlim(0);
        client.DatagramHandler = (_, _, _) =>
        {
            inside.Release();
            leave.Wait(Soon);
        };
        await server.SendDatagramAsync("not uTP"u8.ToArray(), client.LocalEndPoint).Within();
        Check.That(await inside.WaitAsync(Soon));
        await near.WriteAsync(new byte[100_000]).Within();
        var draining = near.DrainAsync().AsTask();
        leave.Release();
        await draining.Within();
        Check.Equal(101_000L, near.GetStatistics().BytesAcknowledged);
        near.CompleteWrites();
        Check.Equal(101_000, (await reading).Length);
        client.Dispose();
    }
}
