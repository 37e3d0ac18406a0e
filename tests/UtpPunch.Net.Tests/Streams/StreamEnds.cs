namespace UtpPunch.Tests;

/// <summary>How streams end: one side, both sides, disposed, aborted.</summary>
public static class StreamEnds
{
    [Fact("one side may end while the other continues")]
    public static async Task HalfClose()
    {
        await using var pair = await Pair.OpenAsync();
        var question = Waiting.Bytes(100_000, 1);
        var answer = Waiting.Bytes(500_000, 2);
        await pair.Near.WriteAsync(question).Within();
        pair.Near.CompleteWrites();
        Check.That(!pair.Near.CanWrite && pair.Near.CanRead);
        Waiting.Same(question, await pair.Far.ReadToEndAsync());
        await pair.Far.ReadsClosed.Within();
        await pair.Near.WritesClosed.Within();
        Check.That(!pair.Near.ReadsClosed.IsCompleted && !pair.Far.WritesClosed.IsCompleted && !pair.Near.Closed.IsCompleted);
        var reading = pair.Near.ReadToEndAsync();
        await pair.Far.WriteAsync(answer, completeWrites: true).Within();
        Waiting.Same(answer, await reading);
        await Task.WhenAll(pair.Near.Closed, pair.Far.Closed, pair.Near.ReadsClosed, pair.Far.WritesClosed).Within();
    }

    [Fact("writing after the end throws InvalidOperationException")]
    public static Task WritingAfterTheEnd() => CallMode.EachAsync(async mode =>
    {
        await using var pair = await Pair.OpenAsync();
        pair.Near.CompleteWrites();
        pair.Near.CompleteWrites();
        await Check.ThrowsAsync<InvalidOperationException>(() => mode.Write(pair.Near, [1], 0, 1).Within());
        await pair.Far.ReadToEndAsync();
    });

    [Fact("the end follows a write that still waits for room")]
    public static async Task EndBehindWaitingWrite()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024);
        var sent = Waiting.Bytes(1_000_000);
        var writing = pair.Near.WriteAsync(sent).AsTask();
        Check.That(!writing.IsCompleted);
        pair.Near.CompleteWrites();
        Waiting.Same(sent, await pair.Far.ReadToEndAsync());
        await writing.Within();
    }

    [Fact("draining waits until the peer has everything")]
    public static async Task Draining()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Near.DrainAsync().Within();
        await pair.Near.WriteAsync(new byte[500_000]).Within();
        await pair.Near.DrainAsync().Within();
        Check.Equal(500_000L, pair.Near.GetStatistics().BytesAcknowledged);
        Check.Equal(500_000L, pair.Far.GetStatistics().BytesReceived);
    }

    [Fact("draining fails when the stream breaks off, and can be cancelled")]
    public static async Task DrainingFails()
    {
        await using var pair = await Pair.OpenAsync(options => options.ReceiveBufferSize = 64 * 1024);
        await pair.Near.WriteAsync(new byte[500_000]).Within();
        using var source = new CancellationTokenSource();
        var cancelled = pair.Near.DrainAsync(source.Token).AsTask();
        var broken = pair.Near.DrainAsync().AsTask();
        await source.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => cancelled.Within());
        pair.Far.Abort();
        Check.Equal(UtpError.ConnectionReset, (await Check.ThrowsAsync<UtpException>(() => broken.Within())).Error);
    }

    [Fact("an aborted stream fails on both sides, and each learns who did it")]
    public static async Task Aborting()
    {
        await using var pair = await Pair.OpenAsync();
        var near = pair.Near.ReadAsync(new byte[1]).AsTask();
        var far = pair.Far.ReadAsync(new byte[1]).AsTask();
        pair.Near.Abort();
        pair.Near.Abort();
        Check.Equal(UtpError.Aborted, (await Check.ThrowsAsync<UtpException>(() => near.Within())).Error);
        var reset = await Check.ThrowsAsync<UtpException>(() => far.Within());
        Check.Equal(UtpError.ConnectionReset, reset.Error);
        Check.Equal(pair.Far.RemoteEndPoint, reset.RemoteEndPoint!);
        Check.That(reset.Message.Contains(pair.Far.RemoteEndPoint.ToString(), StringComparison.Ordinal), reset.Message);
        foreach (var stream in new[] { pair.Near, pair.Far })
        {
            await Check.ThrowsAsync<UtpException>(() => stream.WriteAsync(new byte[1]).Within());
            await Check.ThrowsAsync<UtpException>(() => stream.ReadAsync(new byte[1]).Within());
            Check.Throws<UtpException>(() => stream.WriteByte(1));
            Check.Throws<UtpException>(() => stream.ReadByte());
            await Check.ThrowsAsync<UtpException>(() => stream.Closed.Within());
            await Check.ThrowsAsync<UtpException>(() => stream.ReadsClosed.Within());
            await Check.ThrowsAsync<UtpException>(() => stream.WritesClosed.Within());
        }
    }

    [Fact("a stream that breaks off never ends cleanly, but what came before can be read")]
    public static async Task BrokenIsNotTheEnd()
    {
        await using var pair = await Pair.OpenAsync();
        var sent = Waiting.Bytes(50_000);
        await pair.Near.WriteAsync(sent).Within();
        await pair.Near.DrainAsync().Within();
        pair.Near.Abort();
        await Check.ThrowsAsync<UtpException>(() => pair.Far.Closed.Within());
        var received = new byte[sent.Length];
        await pair.Far.ReadExactlyAsync(received).Within();
        Waiting.Same(sent, received);
        var error = await Check.ThrowsAsync<UtpException>(() => pair.Far.ReadAsync(new byte[1]).Within());
        Check.Equal(UtpError.ConnectionReset, error.Error);
    }

    [Fact("after it was disposed all members of a stream throw")]
    public static Task AfterDispose() => CallMode.EachAsync(async mode =>
    {
        await using var pair = await Pair.OpenAsync();
        pair.Near.Dispose();
        pair.Near.Dispose();
        Check.That(pair.Near is { CanRead: false, CanWrite: false });
        await Check.ThrowsAsync<ObjectDisposedException>(() => mode.Read(pair.Near, new byte[1], 0, 1).Within());
        await Check.ThrowsAsync<ObjectDisposedException>(() => mode.Write(pair.Near, [1], 0, 1).Within());
        Check.Throws<ObjectDisposedException>(() => pair.Near.CompleteWrites());
        Check.Throws<ObjectDisposedException>(() => pair.Near.IdleTimeout = TimeSpan.FromSeconds(1));
        await Check.ThrowsAsync<ObjectDisposedException>(() => pair.Near.DrainAsync().Within());
        _ = pair.Near.GetStatistics();
        await pair.Near.DisposeAsync().Within();
    });

    [Fact("disposing delivers what was written, and the end")]
    public static async Task DisposeFlushes()
    {
        await using var pair = await Pair.OpenAsync();
        var sent = Waiting.Bytes(800_000);
        await pair.Near.WriteAsync(sent).Within();
        pair.Near.Dispose();
        Waiting.Same(sent, await pair.Far.ReadToEndAsync());
        await pair.Near.WritesClosed.Within();
        pair.Far.Dispose();
        await pair.Near.Closed.Within();
        await pair.Far.Closed.Within();
    }

    [Fact("disposing asynchronously waits until the peer has everything")]
    public static async Task DisposeAsyncWaits()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Near.WriteAsync(new byte[800_000]).Within();
        await pair.Near.DisposeAsync().Within();
        Check.That(pair.Near.WritesClosed.IsCompletedSuccessfully);
        Check.Equal(800_000L, pair.Near.GetStatistics().BytesAcknowledged);
        Check.Equal(800_000L, pair.Far.GetStatistics().BytesReceived);
    }

    [Fact("disposing with unread bytes resets the stream")]
    public static async Task DisposeUnread()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Near.WriteAsync(new byte[10]).Within();
        await pair.Far.ReadAsync(Memory<byte>.Empty).Within();
        pair.Far.Dispose();
        var error = await Check.ThrowsAsync<UtpException>(() => pair.Near.ReadAsync(new byte[1]).Within());
        Check.Equal(UtpError.ConnectionReset, error.Error);
        await pair.Far.DisposeAsync().Within();
    }

    [Fact("a writer to a disposed stream learns of it after one write, and its bytes are not acknowledged")]
    public static async Task WritingIntoDisposed()
    {
        await using var pair = await Pair.OpenAsync();
        pair.Far.Dispose();
        await pair.Far.WritesClosed.Within();
        await pair.Near.ReadsClosed.Within();

        // The write itself may fail with the reset, if it is cut into pieces.
        var error = await Check.ThrowsAsync<UtpException>(async () =>
        {
            await pair.Near.WriteAsync(new byte[500_000]).Within();
            await pair.Near.DrainAsync().Within();
        });
        Check.Equal(UtpError.ConnectionReset, error.Error);
        await Check.ThrowsAsync<UtpException>(() => pair.Near.WritesClosed.Within());
        await Check.ThrowsAsync<UtpException>(() => pair.Near.WriteAsync(new byte[1]).Within());
        Check.Equal(0L, pair.Near.GetStatistics().BytesAcknowledged);
        await pair.Far.Closed.Within();
        await Check.ThrowsAsync<UtpException>(() => pair.Far.ReadsClosed.Within());
    }

    [Fact("what was written before a dispose arrives although the peer continues to write")]
    public static async Task DisposeWhilePeerWrites()
    {
        await using var pair = await Pair.OpenAsync();
        var sent = Waiting.Bytes(800_000);
        await pair.Far.WriteAsync(sent).Within();
        pair.Far.Dispose();
        try
        {
            await pair.Near.WriteAsync(new byte[500_000]).Within();
        }
        catch (UtpException)
        {
            // The first packets may draw the RESET before the last bytes are taken. What has arrived stays readable.
        }

        var received = new byte[sent.Length];
        await pair.Near.ReadExactlyAsync(received).AsTask().Within();
        Waiting.Same(sent, received);
        await pair.Far.WritesClosed.Within();
        await pair.Far.Closed.Within();
        await Check.ThrowsAsync<UtpException>(() => pair.Near.Closed.Within());
    }

    [Fact("disposing with a LingerTimeout of zero resets the stream")]
    public static async Task DisposeWithoutLinger()
    {
        await using var pair = await Pair.OpenAsync(options => options.LingerTimeout = TimeSpan.Zero);
        pair.Far.Dispose();
        var error = await Check.ThrowsAsync<UtpException>(() => pair.Near.ReadAsync(new byte[1]).Within());
        Check.Equal(UtpError.ConnectionReset, error.Error);
    }

    [Fact("a disposed stream whose peer takes nothing is given up")]
    public static async Task LingerIsBounded()
    {
        await using var pair = await Pair.OpenAsync(options =>
        {
            options.LingerTimeout = TimeSpan.FromMilliseconds(300);
            options.ReceiveBufferSize = 64 * 1024;
        });
        await pair.Near.WriteAsync(new byte[500_000]).Within();
        await pair.Near.DisposeAsync().Within();
        Check.That(pair.Near.WritesClosed.IsFaulted);
        await Check.ThrowsAsync<UtpException>(() => pair.Far.ReadToEndAsync());
    }

    [Fact("disposing ends reads and writes that wait")]
    public static async Task DisposeEndsWaits()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024);
        var sent = Waiting.Bytes(1_000_000);
        var reading = pair.Near.ReadAsync(new byte[1]).AsTask();
        var writing = pair.Near.WriteAsync(sent).AsTask();
        pair.Near.Dispose();
        await Check.ThrowsAsync<ObjectDisposedException>(() => reading.Within());
        await Check.ThrowsAsync<ObjectDisposedException>(() => writing.Within());
        var received = await pair.Far.ReadToEndAsync();
        Waiting.Same(sent[..received.Length], received);
    }

    [Fact("disposing ends a synchronous read that waits")]
    public static async Task DisposeEndsBlockedRead()
    {
        await using var pair = await Pair.OpenAsync();
        var reading = Task.Factory.StartNew(() => pair.Near.ReadByte(), TaskCreationOptions.LongRunning);
        await pair.Far.WriteAsync(new byte[1]).Within();
        await reading.Within();
        reading = Task.Factory.StartNew(() => pair.Near.ReadByte(), TaskCreationOptions.LongRunning);
        pair.Near.Dispose();
        await Check.ThrowsAsync<ObjectDisposedException>(() => reading.Within());
    }

    [Fact("a stream has statistics, also when it has closed")]
    public static async Task Statistics()
    {
        await using var pair = await Pair.OpenAsync(options => options.PacketSize = 1400);
        await pair.Near.WriteAsync(new byte[100_000], completeWrites: true).Within();
        await pair.Far.ReadToEndAsync();
        await pair.Far.DisposeAsync().Within();
        await pair.Near.Closed.Within();
        var statistics = pair.Near.GetStatistics();
        Check.That(statistics.PacketsSent > 70 && statistics.RoundTripTime > TimeSpan.Zero && statistics.MaxPayload == 1380);
        Check.Equal(1380, pair.Near.MaxPayload);
        Check.Equal(100_000L, statistics.BytesAcknowledged);
        Check.Equal(0L, statistics.BytesReceived);
        Check.Equal(100_000L, pair.Far.GetStatistics().BytesReceived);
        Check.Equal(0L, pair.Far.GetStatistics().BytesAcknowledged);
    }

    [Fact("path MTU discovery finds the largest datagram on loopback, and writes are cut accordingly")]
    public static async Task FindsOut()
    {
        await using var pair = await Pair.OpenAsync();
        Check.Equal(1180, pair.Near.MaxPayload);
        var block = new byte[500_000];
        System.Random.Shared.NextBytes(block);
        for (var round = 0; round < 40 && pair.Near.MaxPayload < 65_000; round++)
        {
            await MoveAsync();
        }

        Check.Equal(65_487, pair.Near.MaxPayload);
        Check.Equal(65_487, pair.Near.GetStatistics().MaxPayload);
        Check.Equal(1180, pair.Far.MaxPayload);
        var before = pair.Near.GetStatistics().PacketsSent;
        await MoveAsync();
        var packets = pair.Near.GetStatistics().PacketsSent - before;
        Check.That(packets is >= 8 and < 100, $"{packets} packets for half a megabyte");

        async Task MoveAsync()
        {
            var writing = pair.Near.WriteAsync(block).AsTask();
            var received = new byte[block.Length];
            await pair.Far.ReadExactlyAsync(received).AsTask().Within();
            await writing.Within();
            Waiting.Same(block, received);
        }
    }
}
