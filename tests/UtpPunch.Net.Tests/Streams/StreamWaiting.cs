using System.Diagnostics;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Reads and writes that wait: for bytes, for room, for a token, for a time-out.</summary>
public static class StreamWaiting
{
    [Fact("a zero-byte read waits for bytes and takes none")]
    public static Task ZeroByteReadWaits() => CallMode.EachAsync(async mode =>
    {
        if (mode.Name == "byte")
        {
            return;
        }

        await using var pair = await Pair.OpenAsync();
        var reading = mode.Read(pair.Far, [], 0, 0);
        Check.That(!reading.IsCompleted);
        await pair.Near.WriteAsync(new byte[] { 1, 2, 3 }).Within();
        Check.Equal(0, await reading.Within());
        Check.Equal(0, await mode.Read(pair.Far, [], 0, 0).Within());
        var received = new byte[3];
        await pair.Far.ReadExactlyAsync(received).Within();
        Waiting.Same([1, 2, 3], received);
    });

    [Fact("a zero-byte read completes at the end")]
    public static async Task ZeroByteReadSeesTheEnd()
    {
        await using var pair = await Pair.OpenAsync();
        var reading = pair.Far.ReadAsync(Memory<byte>.Empty).AsTask();
        pair.Near.CompleteWrites();
        Check.Equal(0, await reading.Within());
        Check.Equal(0, await pair.Far.ReadAsync(Memory<byte>.Empty).Within());
    }

    [Fact("a zero-byte read fails when the stream breaks off")]
    public static async Task ZeroByteReadFails()
    {
        await using var pair = await Pair.OpenAsync();
        var reading = pair.Far.ReadAsync(Memory<byte>.Empty).AsTask();
        pair.Near.Abort();
        var error = await Check.ThrowsAsync<UtpException>(() => reading.Within());
        Check.Equal(UtpError.ConnectionReset, error.Error);
    }

    [Fact("a token that was cancelled before cancels, and nothing happens")]
    public static async Task CancelledBefore()
    {
        await using var pair = await Pair.OpenAsync();
        var token = new CancellationToken(canceled: true);
        await pair.Near.WriteAsync(new byte[] { 9 }).Within();
        Check.That(pair.Near.WriteAsync(new byte[] { 8 }, token).IsCanceled);
        Check.That(pair.Far.ReadAsync(new byte[1], token).IsCanceled);
        Check.That(pair.Far.ReadAsync(new byte[1], 0, 1, token).IsCanceled);
        Check.That(pair.Far.FlushAsync(token).IsCanceled);
        pair.Near.CompleteWrites();
        Waiting.Same([9], await pair.Far.ReadToEndAsync());
    }

    [Fact("a cancelled read carries its token and leaves the stream as it was")]
    public static async Task CancelledRead()
    {
        await using var pair = await Pair.OpenAsync();
        using var source = new CancellationTokenSource();
        var reading = pair.Far.ReadAsync(new byte[5], source.Token).AsTask();
        await source.CancelAsync();
        var cancelled = await Check.ThrowsAsync<OperationCanceledException>(() => reading.Within());
        Check.Equal(source.Token, cancelled.CancellationToken);
        Check.That(reading.IsCanceled);
        await pair.Near.WriteAsync(new byte[] { 1, 2 }, completeWrites: true).Within();
        Waiting.Same([1, 2], await pair.Far.ReadToEndAsync());
    }

    [Fact("reads that are cancelled while bytes arrive lose none of them")]
    public static async Task CancelledReadsLoseNothing()
    {
        await using var pair = await Pair.OpenAsync();
        var sent = Waiting.Bytes(400_000);

        // The first read is cancelled before anything arrives, later ones at random times.
        var begin = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var writing = Task.Run(async () =>
        {
            await begin.Task.Within();
            for (var at = 0; at < sent.Length; at += 1000)
            {
                await pair.Near.WriteAsync(sent.AsMemory(at, 1000));
                if (at % 7000 == 0)
                {
                    await Task.Yield();
                }
            }

            pair.Near.CompleteWrites();
        });
        var received = new MemoryStream();
        var buffer = new byte[700];
        var cancelled = 0;
        while (true)
        {
            using var source = new CancellationTokenSource();
            var reading = pair.Far.ReadAsync(buffer, source.Token).AsTask();
            var cancelling = Task.Run(source.Cancel);
            try
            {
                var count = await reading.Within();
                await cancelling.Within();
                if (count == 0)
                {
                    break;
                }

                received.Write(buffer, 0, count);
            }
            catch (OperationCanceledException)
            {
                cancelled++;
                begin.TrySetResult();
            }
        }

        await writing.Within();
        Waiting.Same(sent, received.ToArray());
        Check.That(cancelled > 0);
    }

    [Fact("a cancelled write carries its token, what was accepted arrives, and the stream stays usable")]
    public static async Task CancelledWrite()
    {
        await using var pair = await Pair.OpenAsync(SmallBuffers);
        var sent = Waiting.Bytes(2_000_000);
        using var source = new CancellationTokenSource();
        var writing = pair.Near.WriteAsync(sent, source.Token).AsTask();
        await pair.Near.UntilSentAsync(50_000);
        Check.That(!writing.IsCompleted);
        await source.CancelAsync();
        var cancelled = await Check.ThrowsAsync<OperationCanceledException>(() => writing.Within());
        Check.Equal(source.Token, cancelled.CancellationToken);
        var reading = pair.Far.ReadToEndAsync();
        await pair.Near.WriteAsync(new byte[] { 1, 2, 3 }, completeWrites: true).Within();
        var received = await reading;
        Check.That(received.Length < sent.Length);
        Waiting.Same([.. sent[..(received.Length - 3)], 1, 2, 3], received);
    }

    [Fact("a cancelled last write is not followed by the end")]
    public static async Task CancelledLastWrite()
    {
        await using var pair = await Pair.OpenAsync(SmallBuffers);
        using var source = new CancellationTokenSource();
        var writing = pair.Near.WriteAsync(new byte[2_000_000], completeWrites: true, source.Token).AsTask();
        await pair.Near.UntilSentAsync(50_000);
        await source.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => writing.Within());
        Check.That(pair.Near.CanWrite);
        pair.Near.Abort();
        await Check.ThrowsAsync<UtpException>(() => pair.Far.ReadToEndAsync());
    }

    [Fact("a second read at the same time is refused, and the first continues")]
    public static async Task SecondRead()
    {
        await using var pair = await Pair.OpenAsync();
        var first = pair.Far.ReadAsync(new byte[1]).AsTask();
        await Check.ThrowsAsync<InvalidOperationException>(() => pair.Far.ReadAsync(new byte[1]).AsTask());
        Check.Throws<InvalidOperationException>(() => pair.Far.ReadByte());
        await pair.Near.WriteAsync(new byte[] { 1 }).Within();
        Check.Equal(1, await first.Within());
    }

    [Fact("a second write at the same time is refused, and the first continues")]
    public static async Task SecondWrite()
    {
        await using var pair = await Pair.OpenAsync(SmallBuffers);
        var sent = Waiting.Bytes(1_000_000);
        var first = pair.Near.WriteAsync(sent, completeWrites: true).AsTask();
        Check.That(!first.IsCompleted);
        await Check.ThrowsAsync<InvalidOperationException>(() => pair.Near.WriteAsync(new byte[1]).AsTask());
        Check.Throws<InvalidOperationException>(() => pair.Near.WriteByte(1));
        Waiting.Same(sent, await pair.Far.ReadToEndAsync());
        await first.Within();
    }

    [Fact("the result of a read may be fetched only once")]
    public static async Task SingleConsumption()
    {
        await using var pair = await Pair.OpenAsync();
        var reading = pair.Far.ReadAsync(new byte[1]);
        await pair.Near.WriteAsync(new byte[] { 1, 2 }).Within();
        Check.Equal(1, await reading.Within());
        await Check.ThrowsAsync<InvalidOperationException>(async () => await reading);
    }

    [Fact("a synchronous read gives up after its time-out, and the stream stays usable")]
    public static async Task ReadTimesOut()
    {
        await using var pair = await Pair.OpenAsync();
        pair.Far.ReadTimeout = TimeOut;
        Check.Equal(TimeOut, pair.Far.ReadTimeout);
        await TimesOutAsync(() => pair.Far.ReadByte());
        await pair.Near.WriteAsync(new byte[] { 4 }).Within();
        pair.Far.ReadTimeout = 10_000;
        Check.Equal(4, pair.Far.ReadByte());
    }

    [Fact("a synchronous write gives up after its time-out")]
    public static async Task WriteTimesOut()
    {
        await using var pair = await Pair.OpenAsync(SmallBuffers);
        pair.Near.WriteTimeout = TimeOut;
        await TimesOutAsync(() => pair.Near.Write(new byte[1_000_000]));
        pair.Near.Dispose();
        var received = await pair.Far.ReadToEndAsync();
        Check.That(received.Length is > 0 and < 1_000_000);
    }

    [Fact("synchronous reads and writes do not need the thread pool")]
    public static async Task NoPoolNeeded()
    {
        await using var pair = await Pair.OpenAsync(SmallBuffers);
        var sent = Waiting.Bytes(1_000_000);
        var received = new MemoryStream();
        var writer = new Thread(() =>
        {
            pair.Near.Write(sent);
            pair.Near.CompleteWrites();
        });
        var reader = new Thread(() =>
        {
            var buffer = new byte[10_000];
            for (int count; (count = pair.Far.Read(buffer)) > 0;)
            {
                received.Write(buffer, 0, count);
            }
        });
        writer.Start();
        reader.Start();
        Check.That(writer.Join(20_000) && reader.Join(20_000));
        Waiting.Same(sent, received.ToArray());
    }

    [Fact("continuations run on the pool, not on the thread of the engine")]
    public static async Task ContinuationsOnThePool()
    {
        await using var pair = await Pair.OpenAsync();
        var reading = pair.Far.ReadAsync(new byte[1]).ConfigureAwait(false);
        var name = Task.Run(async () =>
        {
            await reading;
            return Thread.CurrentThread.IsThreadPoolThread;
        });
        await pair.Near.WriteAsync(new byte[] { 1 }).Within();
        Check.That(await name.Within());
    }

    private const int TimeOut = 100;

    /// <summary>Repeats a call; at least one of them must take little longer than the time-out, whatever else the machine does.</summary>
    private static async Task TimesOutAsync(Action action)
    {
        var shortest = double.MaxValue;
        for (var turn = 0; turn < 4; turn++)
        {
            var started = Stopwatch.GetTimestamp();
            var error = await Check.ThrowsAsync<IOException>(() => Task.Run(action).Within());
            var took = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
            Check.That(error is UtpException { Error: UtpError.OperationTimeout, SocketError: SocketError.TimedOut }, $"{error}");
            Check.That(took >= TimeOut, $"it gave up after {took} ms");
            shortest = Math.Min(shortest, took);
        }

        Check.That(shortest < 2 * TimeOut, $"it gave up after {shortest} ms at the soonest");
    }

    private static void SmallBuffers(UtpNodeOptions options) => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024;
}
