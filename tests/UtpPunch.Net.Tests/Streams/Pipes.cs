using System.Buffers;
using System.IO.Pipelines;

namespace UtpPunch.Tests;

/// <summary>A stream as a pair of pipes: nothing is lost, doubled or changed, whatever its users do with them.</summary>
public static class Pipes
{
    [Fact("bytes pass through pipes in both directions, in parts of any size")]
    public static async Task BothDirections()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 256 * 1024);
        var there = Waiting.Bytes(6_000_000, 1);
        var back = Waiting.Bytes(6_000_000, 2);
        var writing = Task.WhenAll(WriteAsync(pair.Near, there, 3), WriteAsync(pair.Far, back, 4));
        var atFar = ReadToEndAsync(pair.Far.Input, 5);
        Waiting.Same(back, await ReadToEndAsync(pair.Near.Input, 6).Within());
        Waiting.Same(there, await atFar.Within());
        await writing.Within();
        await Task.WhenAll(pair.Near.Closed, pair.Far.Closed).Within();
    }

    [Fact("bytes pass through pipes over a path that loses, duplicates and reorders")]
    public static async Task BadNetwork()
    {
        await using var server = await Pair.BindAsync(options => options.PacketSize = 1400);
        var path = new RelayPath { Loss = 0.02, Delay = TimeSpan.FromMilliseconds(5), Shuffle = TimeSpan.FromMilliseconds(3) };
        using var relay = UdpRelay.Symmetric(server.LocalEndPoint, path);
        await using var client = await Pair.BindAsync(options => options.PacketSize = 1400);
        var listener = server.Listen();
        var near = await client.ConnectAsync(relay.EndPoint).Within();
        var far = await listener.AcceptAsync().Within();
        var sent = Waiting.Bytes(2_000_000);
        var writing = WriteAsync(near, sent, 7);
        Waiting.Same(sent, await ReadToEndAsync(far.Input, 8).Within());
        await writing.Within();
    }

    [Fact("a message larger than the receive buffer can be examined until it is whole")]
    public static async Task LargeMessage()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024);
        var sent = Waiting.Bytes(1_000_000);
        var writing = pair.Near.WriteAsync(sent, completeWrites: true).AsTask();
        var result = await pair.Far.Input.ReadAtLeastAsync(sent.Length).Within();
        Waiting.Same(sent, result.Buffer.ToArray());
        pair.Far.Input.AdvanceTo(result.Buffer.End);
        await writing.Within();
        Check.That((await pair.Far.Input.ReadAsync().Within()).IsCompleted);
    }

    [Fact("what was examined and not consumed is there again, with what has come")]
    public static async Task PartialConsumption()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Near.WriteAsync("ab"u8.ToArray());
        var first = await pair.Far.Input.ReadAtLeastAsync(2).Within();
        pair.Far.Input.AdvanceTo(first.Buffer.GetPosition(1), first.Buffer.End);
        var waiting = pair.Far.Input.ReadAsync().AsTask();
        Check.That(!waiting.IsCompleted);
        await pair.Near.WriteAsync("c"u8.ToArray());
        var second = await waiting.Within();
        Waiting.Same("bc"u8.ToArray(), second.Buffer.ToArray());
        pair.Far.Input.AdvanceTo(second.Buffer.Start, second.Buffer.Start);
        Check.That(pair.Far.Input.TryRead(out var third));
        Waiting.Same("bc"u8.ToArray(), third.Buffer.ToArray());
        pair.Far.Input.AdvanceTo(third.Buffer.End);
        Check.That(!pair.Far.Input.TryRead(out _));
    }

    [Fact("a read that is cancelled, by its token or by the pipe, takes nothing")]
    public static async Task CancelledReads()
    {
        await using var pair = await Pair.OpenAsync();
        using var cancellation = new CancellationTokenSource();
        var waiting = pair.Far.Input.ReadAsync(cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => waiting.Within());
        waiting = pair.Far.Input.ReadAsync().AsTask();
        pair.Far.Input.CancelPendingRead();
        var cancelled = await waiting.Within();
        Check.That(cancelled.IsCanceled && cancelled.Buffer.IsEmpty);
        pair.Far.Input.AdvanceTo(cancelled.Buffer.Start, cancelled.Buffer.End);
        pair.Far.Input.CancelPendingRead();
        Check.That((await pair.Far.Input.ReadAsync().Within()).IsCanceled);
        await pair.Near.WriteAsync("a"u8.ToArray());
        Check.Equal(1L, (await pair.Far.Input.ReadAsync().Within()).Buffer.Length);
    }

    [Fact("a reader gets all bytes that have come before the peer resets, and then the failure")]
    public static async Task Reset()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Near.WriteAsync("ab"u8.ToArray());
        await pair.Near.DrainAsync().Within();
        pair.Near.Abort();
        await Waiting.UntilAsync(() => pair.Far.Closed.IsCompleted);
        var result = await pair.Far.Input.ReadAsync().Within();
        Check.Equal(2L, result.Buffer.Length);
        pair.Far.Input.AdvanceTo(result.Buffer.End);
        var error = await Check.ThrowsAsync<UtpException>(() => pair.Far.Input.ReadAsync().Within());
        Check.Equal(UtpError.ConnectionReset, error.Error);
        error = await Check.ThrowsAsync<UtpException>(() => pair.Far.Output.WriteAsync("c"u8.ToArray()).Within());
        Check.Equal(UtpError.ConnectionReset, error.Error);
    }

    [Fact("a reader that was completed discards what comes, and its peer can go on")]
    public static async Task CompletedReader()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024);
        await pair.Near.WriteAsync(new byte[1000]);
        var result = await pair.Far.Input.ReadAsync().Within();
        pair.Far.Input.AdvanceTo(result.Buffer.GetPosition(10));
        await pair.Far.Input.CompleteAsync();
        await pair.Near.WriteAsync(new byte[3_000_000], completeWrites: true).Within();
        await pair.Near.WritesClosed.Within();
        await pair.Far.DisposeAsync().Within();
        await pair.Near.Closed.Within();
        await Check.ThrowsAsync<InvalidOperationException>(() => pair.Far.Input.ReadAsync().Within());
    }

    [Fact("a flush waits for room, and what was flushed arrives once even if the wait was cancelled")]
    public static async Task CancelledFlushes()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024);
        var sent = Waiting.Bytes(600_000);
        var output = pair.Near.Output;
        output.Write(sent.AsSpan(0, 300_000));
        Check.Equal(300_000L, output.UnflushedBytes);
        var flushing = output.FlushAsync().AsTask();
        await Waiting.UntilAsync(() => pair.Near.GetStatistics().PeerWindow < 1400);
        Check.That(!flushing.IsCompleted);
        output.CancelPendingFlush();
        Check.That((await flushing.Within()).IsCanceled);
        using var cancellation = new CancellationTokenSource();
        output.Write(sent.AsSpan(300_000));
        flushing = output.FlushAsync(cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => flushing.Within());
        output.CancelPendingFlush();
        Check.That((await output.FlushAsync().Within()).IsCanceled);
        await output.CompleteAsync();
        Waiting.Same(sent, await ReadToEndAsync(pair.Far.Input, 9).Within());
        await pair.Near.WritesClosed.Within();
    }

    [Fact("a writer that is completed sends what it has not flushed, also if the stream is disposed at once")]
    public static async Task CompletedWriter()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024);
        var sent = Waiting.Bytes(1_000_000);
        pair.Near.Output.Write(sent);
        await pair.Near.Output.CompleteAsync();
        pair.Near.Dispose();
        Waiting.Same(sent, await pair.Far.ReadToEndAsync());
        await pair.Near.WritesClosed.Within();
    }

    [Fact("a writer that is completed with an exception aborts the stream: a part is not taken for the whole")]
    public static async Task FailedWriter()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Near.Output.WriteAsync("ab"u8.ToArray()).Within();
        await pair.Near.Output.CompleteAsync(new InvalidDataException("no more"));
        var error = await Check.ThrowsAsync<UtpException>(async () =>
        {
            while (!(await pair.Far.Input.ReadAsync().Within()).IsCompleted)
            {
                Check.That(pair.Far.Input.TryRead(out var result));
                pair.Far.Input.AdvanceTo(result.Buffer.End);
            }
        });
        Check.Equal(UtpError.ConnectionReset, error.Error);
    }

    [Fact("a stream is used through its pipes or through its own methods, and says which")]
    public static async Task MixedUse()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Near.WriteAsync("a"u8.ToArray()).Within();
        await pair.Near.Output.WriteAsync("b"u8.ToArray()).Within();
        await Check.ThrowsAsync<InvalidOperationException>(() => pair.Near.WriteAsync("c"u8.ToArray()).Within());
        Check.Equal((byte)'a', (byte)pair.Far.ReadByte());
        var result = await pair.Far.Input.ReadAsync().Within();
        Waiting.Same("b"u8.ToArray(), result.Buffer.ToArray());
        await Check.ThrowsAsync<InvalidOperationException>(() => pair.Far.ReadAsync(new byte[1]).Within());
        Check.Throws<ArgumentException>(() => pair.Far.Input.AdvanceTo(default));
        pair.Far.Input.AdvanceTo(result.Buffer.End);
    }

    [Fact("a pipe that waits ends when its stream is disposed, and so does a flush")]
    public static async Task Disposed()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024);
        var reading = pair.Near.Input.ReadAsync().AsTask();
        pair.Near.Output.Write(new byte[1_000_000]);
        var flushing = pair.Near.Output.FlushAsync().AsTask();
        Check.That(!flushing.IsCompleted);
        pair.Near.Dispose();
        await Check.ThrowsAsync<ObjectDisposedException>(() => reading.Within());
        await Check.ThrowsAsync<ObjectDisposedException>(() => flushing.Within());
        Check.Equal(1_000_000, (await pair.Far.ReadToEndAsync()).Length);
    }

    [Fact("a stream that is disposed with flushed bytes that its peer does not read is reset after the linger time-out")]
    public static async Task StalledPeer()
    {
        await using var pair = await Pair.OpenAsync(options =>
        {
            options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024;
            options.LingerTimeout = TimeSpan.FromMilliseconds(500);
        });
        pair.Near.Output.Write(new byte[1_000_000]);
        await pair.Near.Output.CompleteAsync();
        pair.Near.Dispose();
        await Check.ThrowsAsync<UtpException>(() => pair.Near.WritesClosed.Within());
        await Check.ThrowsAsync<UtpException>(() => pair.Far.Closed.Within());
    }

    [Fact("bytes that were written before a pipe's come before them")]
    public static async Task WrittenBefore()
    {
        await using var pair = await Pair.OpenAsync(options => options.NoDelay = true);
        for (byte index = 0; index < 50; index++)
        {
            await using var near = await pair.Client.ConnectAsync(pair.Server.LocalEndPoint).Within();
            await using var far = await pair.Listener.AcceptAsync().Within();
            await near.WriteAsync(new[] { index });
            await near.Output.WriteAsync(new byte[] { 100, 101 });
            await near.Output.CompleteAsync();
            Waiting.Same([index, 100, 101], await far.ReadToEndAsync());
        }
    }

    [Fact("the pipes of idle streams hold no memory")]
    public static async Task Idle()
    {
        const int Count = 100;
        await using var pair = await Pair.OpenAsync();
        var streams = new List<UtpStream>();
        var before = 0L;
        for (var index = 0; index < Count; index++)
        {
            var near = await pair.Client.ConnectAsync(pair.Server.LocalEndPoint).Within();
            var far = await pair.Listener.AcceptAsync().Within();
            near.Output.GetSpan(50_000)[0] = (byte)index;
            near.Output.Advance(50_000);
            await near.Output.FlushAsync().Within();
            var result = await far.Input.ReadAtLeastAsync(50_000).Within();
            Check.Equal((byte)index, result.Buffer.FirstSpan[0]);
            far.Input.AdvanceTo(result.Buffer.End);
            await near.DrainAsync().Within();
            streams.AddRange([near, far]);
            if (index == Count / 2)
            {
                before = GC.GetTotalMemory(forceFullCollection: true);
            }
        }

        // The half of them would hold 12.8 MB. Tests that run beside this one hold some for a while.
        await Waiting.UntilAsync(() => GC.GetTotalMemory(forceFullCollection: true) - before < 5_000_000);
        Check.Equal(2 * Count, streams.Count);
    }

    private static async Task WriteAsync(UtpStream stream, byte[] bytes, int seed)
    {
        var random = new Random(seed);
        for (var at = 0; at < bytes.Length;)
        {
            var count = Math.Min(bytes.Length - at, random.Next(1, random.Next(4) == 0 ? 200_000 : 3000));
            if (random.Next(2) == 0)
            {
                await stream.Output.WriteAsync(bytes.AsMemory(at, count));
            }
            else
            {
                bytes.AsSpan(at, count).CopyTo(stream.Output.GetSpan(count));
                stream.Output.Advance(count);
                if (random.Next(3) > 0)
                {
                    await stream.Output.FlushAsync();
                }
            }

            at += count;
        }

        await stream.Output.CompleteAsync();
    }

    private static async Task<byte[]> ReadToEndAsync(PipeReader reader, int seed)
    {
        var random = new Random(seed);
        var all = new MemoryStream();
        while (true)
        {
            var result = await reader.ReadAsync();
            var buffer = result.Buffer;
            var count = result.IsCompleted ? buffer.Length : random.NextInt64(buffer.Length + 1);
            foreach (var segment in buffer.Slice(0, count))
            {
                all.Write(segment.Span);
            }

            // Sometimes all of it is examined; the rest comes again with what follows.
            var consumed = buffer.GetPosition(count);
            reader.AdvanceTo(consumed, random.Next(2) == 0 ? buffer.End : consumed);
            if (result.IsCompleted)
            {
                return all.ToArray();
            }
        }
    }
}
