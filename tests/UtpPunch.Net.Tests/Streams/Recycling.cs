
namespace UtpPunch.Tests;

/// <summary>
/// Slabs and written arrays are reused, for other streams and by others that rent from the pool. That must not be observable: every
/// byte of these streams has the value of its position.
/// </summary>
public static class Recycling
{
    private const int MostRead = 200_000;

    [Fact("readers of any pace never see their bytes overwritten, whatever is received and rented meanwhile", Timeout = 120)]
    public static async Task SlowReaders()
    {
        using var scribbling = new CancellationTokenSource();
        var scribbler = Task.Run(() => ScribbleAsync(scribbling.Token));
        foreach (var packetSize in new[] { 1400, 9000, 20_000, 65_507 })
        {
            await using var server = await Pair.BindAsync(options => Sized(options, packetSize));
            await using var client = await Pair.BindAsync(options => Sized(options, packetSize));
            var listener = server.Listen();
            await AllAsync(Enumerable.Range(0, 8).Select(async index =>
            {
                var near = await client.ConnectAsync(server.LocalEndPoint);
                await near.WriteAsync(new[] { (byte)index });
                var far = await listener.AcceptAsync();
                var key = far.ReadByte();
                await AllAsync([
                    WriteAsync(near, index, 2_000_000), ReadAsync(far, key, 2_000_000), WriteAsync(far, key + 100, 500_000),
                    ReadAsync(near, index + 100, 500_000)]);
            })).Within();
            client.Dispose();
            server.Dispose();
        }

        await scribbling.CancelAsync();
        await scribbler;
    }

    [Fact("a pipe whose stream is idle between flushes keeps its bytes", Timeout = 120)]
    public static async Task IdlePipe()
    {
        using var scribbling = new CancellationTokenSource();
        var scribbler = Task.Run(() => ScribbleAsync(scribbling.Token));
        await using var pair = await Pair.OpenAsync(options => Sized(options, 1400));
        const int Length = 4_000_000;
        var reading = ReadPipeAsync(pair.Far, 2, Length);
        var random = new Random(3);
        for (var place = 0; place < Length;)
        {
            var count = Math.Min(Length - place, random.Next(1, 20_000));
            Fill(2, place, pair.Near.Output.GetSpan(count)[..count]);
            pair.Near.Output.Advance(count);
            place += count;
            await pair.Near.Output.FlushAsync();

            // The last acknowledgement comes at any moment of what follows.
            Thread.SpinWait(random.Next(20_000));
        }

        await pair.Near.Output.CompleteAsync();
        await reading.Within();
        await scribbling.CancelAsync();
        await scribbler;
    }

    [Fact("packets that arrive out of order and retransmitted packets keep their bytes, small and large", Timeout = 120)]
    public static async Task LostAndShuffled()
    {
        using var scribbling = new CancellationTokenSource();
        var scribbler = Task.Run(() => ScribbleAsync(scribbling.Token));
        foreach (var packetSize in new[] { 1400, 20_000 })
        {
            await using var server = await Pair.BindAsync(options => Sized(options, packetSize));
            using var relay = UdpRelay.Symmetric(
                server.LocalEndPoint,
                new RelayPath { Loss = 0.03, Shuffle = TimeSpan.FromMilliseconds(2) });
            await using var client = await Pair.BindAsync(options => Sized(options, packetSize));
            var accepting = server.Listen().AcceptAsync().AsTask();
            var near = await client.ConnectAsync(relay.EndPoint).Within();
            var far = await accepting.Within();
            const int Length = 1_000_000;
            await AllAsync([WriteAsync(near, 1, Length), ReadAsync(far, 1, Length), WriteAsync(far, 2, Length), ReadAsync(near, 2, Length)]).Within();
            Check.That(near.GetStatistics().Retransmissions > 0);
            client.Dispose();
            server.Dispose();
        }

        await scribbling.CancelAsync();
        await scribbler;
    }

    [Fact("a stream that is disposed or aborted while its reader copies gives it a prefix of the bytes, and then fails", Timeout = 120)]
    public static async Task EndedWhileCopying()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var listener = server.Listen();
        var random = new Random(4);
        for (var turn = 0; turn < 60; turn++)
        {
            var near = await client.ConnectAsync(server.LocalEndPoint).Within();
            var far = await listener.AcceptAsync().Within();
            var writing = Task.Run(() => WriteUntilBrokenAsync(near, turn));
            var read = 0;
            var reading = Task.Run(async () =>
            {
                var buffer = new byte[MostRead];
                while (true)
                {
                    var count = turn % 2 == 0 ? far.Read(buffer) : await far.ReadAsync(buffer);
                    CheckPlaces(turn, read, buffer.AsSpan(0, count));
                    Volatile.Write(ref read, read + count);
                }
            });
            var enough = random.Next(1, 2_000_000);
            await Waiting.UntilAsync(() => Volatile.Read(ref read) >= enough || reading.IsCompleted);
            if (turn % 3 == 0)
            {
                far.Abort();
            }
            else
            {
                far.Dispose();
            }

            var error = await Check.ThrowsAsync<Exception>(() => reading.Within());
            Check.That(error is ObjectDisposedException or UtpException { Error: UtpError.Aborted }, error.ToString());
            near.Abort();
            await writing.Within();
        }

        client.Dispose();
        server.Dispose();
    }

    // The first failure, and not the wait of those that wait for the failed one.
    private static async Task AllAsync(IEnumerable<Task> tasks)
    {
        await foreach (var task in Task.WhenEach(tasks))
        {
            await task;
        }
    }

    private static void Sized(UtpNodeOptions options, int packetSize)
    {
        options.PacketSize = packetSize;
        options.ReceiveBufferSize = options.SendBufferSize = 512 * 1024;
    }

    /// <summary>The byte at a place of a stream: neighbours, packets, slabs and streams all differ.</summary>
    private static byte At(int key, int place) => (byte)((place * 7) + (place >> 8) + (place >> 16) + (key * 31));

    private static void Fill(int key, int place, Span<byte> bytes)
    {
        for (var index = 0; index < bytes.Length; index++)
        {
            bytes[index] = At(key, place + index);
        }
    }

    private static void CheckPlaces(int key, int place, ReadOnlySpan<byte> bytes)
    {
        for (var index = 0; index < bytes.Length; index++)
        {
            if (bytes[index] != At(key, place + index))
            {
                Check.That(false, $"stream {key}, place {place + index}: {bytes[index]:X2} instead of {At(key, place + index):X2}");
            }
        }
    }

    private static async Task WritePipeAsync(UtpStream stream, int key, int length)
    {
        var random = new Random(key);
        for (var place = 0; place < length;)
        {
            var memory = stream.Output.GetMemory(random.Next(3) == 0 ? random.Next(1, 3000) : random.Next(1, 100_000));
            var count = Math.Min(length - place, random.Next(1, memory.Length + 1));
            Fill(key, place, memory.Span[..count]);
            stream.Output.Advance(count);
            place += count;
            if (random.Next(3) > 0)
            {
                await stream.Output.FlushAsync();
            }
        }

        await stream.Output.CompleteAsync();
    }

    private static async Task ReadPipeAsync(UtpStream stream, int key, int length)
    {
        var random = new Random(key);
        var place = 0;
        while (true)
        {
            var result = await stream.Input.ReadAsync();
            if (random.Next(16) == 0)
            {
                await Task.Delay(random.Next(3)); // A reader's pause is what is tested.
            }

            var count = result.IsCompleted ? result.Buffer.Length : random.NextInt64(result.Buffer.Length + 1);
            foreach (var segment in result.Buffer.Slice(0, count))
            {
                CheckPlaces(key, place, segment.Span);
                place += segment.Length;
            }

            stream.Input.AdvanceTo(result.Buffer.GetPosition(count), result.Buffer.End);
            if (result.IsCompleted)
            {
                break;
            }
        }

        Check.Equal(length, place);
    }

    // Every second stream through its pipe.
    private static async Task WriteAsync(UtpStream stream, int key, int length)
    {
        if (key % 2 == 0)
        {
            await WritePipeAsync(stream, key, length);
            return;
        }

        var random = new Random(key);
        var buffer = new byte[300_000];
        for (var place = 0; place < length;)
        {
            var count = Math.Min(length - place, random.Next(3) == 0 ? random.Next(1, 3000) : random.Next(1, buffer.Length));
            Fill(key, place, buffer.AsSpan(0, count));
            await stream.WriteAsync(buffer.AsMemory(0, count));
            buffer.AsSpan(0, count).Fill(0xEE); // The writer may reuse it.
            place += count;
        }

        stream.CompleteWrites();
    }

    private static async Task ReadAsync(UtpStream stream, int key, int length)
    {
        if (key % 4 > 1)
        {
            await ReadPipeAsync(stream, key, length);
            return;
        }

        var random = new Random(key);
        var buffer = new byte[MostRead];
        var place = 0;
        while (true)
        {
            var count = await stream.ReadAsync(buffer.AsMemory(0, random.Next(3) == 0 ? random.Next(1, 2000) : random.Next(1, MostRead)));
            if (count == 0)
            {
                break;
            }

            CheckPlaces(key, place, buffer.AsSpan(0, count));
            place += count;
            if (random.Next(16) == 0)
            {
                await Task.Delay(random.Next(3)); // A reader's pause is what is tested.
            }
        }

        Check.Equal(length, place);
    }

    private static async Task WriteUntilBrokenAsync(UtpStream stream, int key)
    {
        var buffer = new byte[100_000];
        try
        {
            for (var place = 0; ; place += buffer.Length)
            {
                Fill(key, place, buffer);
                await stream.WriteAsync(buffer);
            }
        }
        catch (Exception error) when (error is UtpException or ObjectDisposedException)
        {
        }
    }

    /// <summary>Rents arrays that were returned to the pool, as any other code of the process may, and overwrites them.</summary>
    private static async Task ScribbleAsync(CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            var rented = Enumerable.Range(0, 8).Select(_ => BufferPool.Shared.Rent()).ToArray();
            foreach (var array in rented)
            {
                array.AsSpan().Fill(0xDD);
                BufferPool.Shared.Return(array);
            }

            await Task.Delay(1, CancellationToken.None);
        }
    }
}
