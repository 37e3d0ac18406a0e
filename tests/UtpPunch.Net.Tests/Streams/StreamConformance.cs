namespace UtpPunch.Tests;

/// <summary>The contract of a connected stream, in each of the ways to call it.</summary>
public static class StreamConformance
{
    [Fact("what one end writes the other reads, in every way of writing and reading")]
    public static async Task EveryPairOfModes()
    {
        await using var pair = await Pair.OpenAsync();
        var seed = 0;
        await CallMode.EachAsync(writer => CallMode.EachAsync(async reader =>
        {
            foreach (var (from, to) in new[] { (pair.Near, pair.Far), (pair.Far, pair.Near) })
            {
                var sent = Waiting.Bytes(3000 + seed, ++seed);
                var writing = writer.Write(from, sent, 0, sent.Length);
                var received = new byte[sent.Length + 2];
                var count = 0;
                while (count < sent.Length)
                {
                    var read = await reader.Read(to, received, count + 1, Math.Min(1000, sent.Length - count)).Within();
                    Check.That(read > 0);
                    count += read;
                }

                await writing.Within();
                Waiting.Same(sent, received[1..^1]);
                Check.That(received[0] == 0 && received[^1] == 0);
            }
        }));
    }

    [Fact("a read returns what there is and does not wait for a full buffer")]
    public static Task ReadsWhatThereIs() => CallMode.EachAsync(async mode =>
    {
        await using var pair = await Pair.OpenAsync();
        var reading = mode.Read(pair.Far, new byte[100], 0, 100);
        Check.That(!reading.IsCompleted);
        await pair.Near.WriteAsync(new byte[] { 7, 8, 9 }).Within();
        Check.That(await reading.Within() is 1 or 3);
    });

    [Fact("after the end every read returns 0")]
    public static Task EndStaysTheEnd() => CallMode.EachAsync(async mode =>
    {
        await using var pair = await Pair.OpenAsync();
        var reading = mode.Read(pair.Far, new byte[10], 0, 10);
        pair.Near.CompleteWrites();
        Check.Equal(0, await reading.Within());
        Check.Equal(0, await mode.Read(pair.Far, new byte[10], 0, 10).Within());
        Check.Equal(-1, pair.Far.ReadByte());
    });

    [Fact("the base class's helpers work: read exactly, read at least, copy")]
    public static async Task Helpers()
    {
        await using var pair = await Pair.OpenAsync();
        var sent = Waiting.Bytes(200_000);
        var writing = pair.Near.WriteAsync(sent).AsTask();
        var exact = new byte[50_000];
        await pair.Far.ReadExactlyAsync(exact).Within();
        await writing.Within();
        pair.Near.CompleteWrites();
        var least = new byte[100_000];
        var count = await pair.Far.ReadAtLeastAsync(least, 70_000).Within();
        Check.That(count >= 70_000);
        var rest = new MemoryStream();
        await Task.Run(() => pair.Far.CopyTo(rest)).Within();
        Waiting.Same(sent, [.. exact, .. least[..count], .. rest.ToArray()]);
    }

    [Fact("CanRead, CanWrite, CanSeek and CanTimeout are right")]
    public static async Task Abilities()
    {
        await using var pair = await Pair.OpenAsync();
        Check.That(pair.Near is { CanRead: true, CanWrite: true, CanSeek: false, CanTimeout: true });
        Check.Throws<NotSupportedException>(() => pair.Near.Seek(0, SeekOrigin.Begin));
        Check.Throws<NotSupportedException>(() => pair.Near.SetLength(1));
        Check.Throws<NotSupportedException>(() => _ = pair.Near.Length);
        Check.Throws<NotSupportedException>(() => _ = pair.Near.Position);
        Check.Throws<NotSupportedException>(() => pair.Near.Position = 0);
        pair.Near.Flush();
        await pair.Near.FlushAsync().Within();
    }

    [Fact("arguments are checked")]
    public static async Task Arguments()
    {
        await using var pair = await Pair.OpenAsync();
        var stream = pair.Near;
        var some = new byte[10];
        Check.Throws<ArgumentNullException>(() => Check.Equal(1, stream.Read(null!, 0, 1)));
        Check.Throws<ArgumentNullException>(() => stream.Write(null!, 0, 1));
        Check.Throws<ArgumentOutOfRangeException>(() => Check.Equal(1, stream.Read(some, -1, 1)));
        Check.Throws<ArgumentOutOfRangeException>(() => stream.Write(some, 0, 11));
        Check.Throws<ArgumentOutOfRangeException>(() => _ = stream.ReadAsync(some, 5, 6));
        Check.Throws<ArgumentOutOfRangeException>(() => _ = stream.WriteAsync(some, 11, 0));
        Check.Throws<ArgumentNullException>(() => stream.BeginRead(null!, 0, 0, null, null));
        Check.Throws<ArgumentOutOfRangeException>(() => stream.BeginWrite(some, 0, -1, null, null));
        Check.Throws<ArgumentNullException>(() => stream.CopyTo(null!));
        Check.Throws<ArgumentOutOfRangeException>(() => stream.ReadTimeout = 0);
        Check.Throws<ArgumentOutOfRangeException>(() => stream.WriteTimeout = -2);
        Check.Throws<ArgumentOutOfRangeException>(() => stream.IdleTimeout = TimeSpan.Zero);
        await Check.ThrowsAsync<ArgumentNullException>(() => stream.CopyToAsync(null!));
        await Check.ThrowsAsync<ArgumentOutOfRangeException>(() => stream.CopyToAsync(Stream.Null, 0));
    }

    [Fact("a stream reads and writes at the same time, from any threads")]
    public static async Task BothDirectionsAtOnce()
    {
        await using var pair = await Pair.OpenAsync();
        const int Size = 3_000_000;
        var there = Waiting.Bytes(Size, 3);
        var back = Waiting.Bytes(Size, 4);
        var writes = Task.WhenAll(
            pair.Near.WriteAsync(there, completeWrites: true).AsTask(),
            Task.Run(() =>
            {
                pair.Far.Write(back);
                pair.Far.CompleteWrites();
            }));
        var atFar = pair.Far.ReadToEndAsync();
        var atNear = pair.Near.ReadToEndAsync();
        await writes.Within();
        Waiting.Same(there, await atFar);
        Waiting.Same(back, await atNear);
    }

    [Fact("an empty write sends nothing and waits for nothing")]
    public static Task EmptyWrite() => CallMode.EachAsync(async mode =>
    {
        await using var pair = await Pair.OpenAsync();
        await mode.Write(pair.Near, [], 0, 0).Within();
        await pair.Near.WriteAsync(new byte[] { 5 }, completeWrites: true).Within();
        Waiting.Same([5], await pair.Far.ReadToEndAsync());
    });

    [Fact("what was written may be overwritten as soon as the write has completed")]
    public static async Task WritesCopy()
    {
        await using var pair = await Pair.OpenAsync();
        var expected = new MemoryStream();
        var reading = pair.Far.ReadToEndAsync();
        var buffer = new byte[777];
        for (var turn = 0; turn < 500; turn++)
        {
            new Random(turn).NextBytes(buffer);
            expected.Write(buffer);
            await pair.Near.WriteAsync(buffer).Within();
            Array.Clear(buffer);
        }

        pair.Near.CompleteWrites();
        Waiting.Same(expected.ToArray(), await reading);
    }
}
