namespace UtpPunch.Tests;

/// <summary>A slow reader holds back its writer, and memory stays bounded.</summary>
public static class BackPressure
{
    [Fact("a writer waits for a stalled reader, then all bytes arrive")]
    public static async Task WriterWaits()
    {
        const int Buffer = 128 * 1024;
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = Buffer);
        var sent = Waiting.Bytes(3_000_000);
        var written = 0;
        var writing = Task.Run(async () =>
        {
            for (var at = 0; at < sent.Length; at += 10_000)
            {
                await pair.Near.WriteAsync(sent.AsMemory(at, 10_000));
                Volatile.Write(ref written, at + 10_000);
            }

            pair.Near.CompleteWrites();
        });
        await Waiting.UntilAsync(() => pair.Near.GetStatistics().PeerWindow < 1380);
        await Task.Delay(300);
        Check.That(Volatile.Read(ref written) <= 2 * Buffer);
        Check.That(pair.Far.GetStatistics().BytesReceived <= Buffer);
        Check.That(!writing.IsCompleted);
        Waiting.Same(sent, await pair.Far.ReadToEndAsync());
        await writing.Within();
        await pair.Near.WritesClosed.Within();
        Check.Equal((long)sent.Length, pair.Near.GetStatistics().BytesAcknowledged);
        Check.Equal((long)sent.Length, pair.Far.GetStatistics().BytesReceived);
    }

    [Fact("a reader with a small buffer gets everything")]
    public static async Task TinyReads()
    {
        await using var pair = await Pair.OpenAsync(options => options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024);
        var sent = Waiting.Bytes(500_000);
        var writing = pair.Near.WriteAsync(sent, completeWrites: true).AsTask();
        var received = new MemoryStream();
        var buffer = new byte[97];
        for (int count; (count = await pair.Far.ReadAsync(buffer).Within()) > 0;)
        {
            received.Write(buffer, 0, count);
        }

        await writing.Within();
        Waiting.Same(sent, received.ToArray());
    }

    [Fact("single bytes share packets")]
    public static async Task SingleBytes()
    {
        await using var pair = await Pair.OpenAsync();
        const int Count = 200_000;
        var reading = pair.Far.ReadToEndAsync();
        await Task.Run(() =>
        {
            for (var index = 0; index < Count; index++)
            {
                pair.Near.WriteByte((byte)index);
            }
        }).Within();
        pair.Near.CompleteWrites();
        var received = await reading;
        Check.Equal(Count, received.Length);
        Check.That(received.Select((value, index) => value == (byte)index).All(same => same));
        Check.That(pair.Near.GetStatistics().PacketsSent < Count / 20, $"{pair.Near.GetStatistics().PacketsSent} packets");
    }

    [Fact("unread bytes take little more memory than their number")]
    public static async Task UnreadMemory()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync(options => options.NoDelay = true);
        var listener = server.Listen();
        var pairs = new List<(UtpStream Near, UtpStream Far)>();
        for (var index = 0; index < 100; index++)
        {
            var accepting = listener.AcceptAsync().AsTask();
            pairs.Add((await client.ConnectAsync(server.LocalEndPoint).Within(), await accepting.Within()));
        }

        // Alternating, so that the datagrams of each stream lie between those of all others.
        for (var turn = 0; turn < 50; turn++)
        {
            foreach (var (near, _) in pairs)
            {
                await near.WriteAsync(new byte[100]).Within();
            }

            await Task.WhenAll(pairs.Select(pair => pair.Near.DrainAsync().AsTask())).Within();
        }

        GC.Collect();
        GC.WaitForPendingFinalizers();
        var memory = GC.GetTotalMemory(forceFullCollection: true);
        var unread = pairs.Count * 50 * 100;
        foreach (var (near, far) in pairs)
        {
            near.CompleteWrites();
            Check.Equal(5000, (await far.ReadToEndAsync()).Length);
        }

        // 5000 datagrams lie in slabs of 64 KiB each in the worst case: 300 MB. The bound is what two nodes with 100 streams may cost.
        Check.That(memory < 40_000_000, $"{memory} bytes with {unread} unread");
        client.Dispose();
        server.Dispose();
    }

    [Fact("a stream in bulk keeps its bytes in order through loss, delay and reordering")]
    public static async Task BadNetwork()
    {
        await using var server = await Pair.BindAsync();
        using var relay = UdpRelay.Symmetric(
            server.LocalEndPoint,
            new RelayPath { Loss = 0.02, Delay = TimeSpan.FromMilliseconds(5), Shuffle = TimeSpan.FromMilliseconds(3) });
        await using var client = await Pair.BindAsync();
        var listener = server.Listen();
        var near = await client.ConnectAsync(relay.EndPoint).Within();
        var far = await listener.AcceptAsync().Within();
        var there = Waiting.Bytes(1_000_000, 1);
        var back = Waiting.Bytes(1_000_000, 2);
        var writing = Task.WhenAll(
            near.WriteAsync(there, completeWrites: true).AsTask(), far.WriteAsync(back, completeWrites: true).AsTask());
        var atFar = far.ReadToEndAsync();
        Waiting.Same(back, await near.ReadToEndAsync());
        Waiting.Same(there, await atFar);
        await writing.Within();
        await Task.WhenAll(near.Closed, far.Closed).Within();
        foreach (var statistics in new[] { near.GetStatistics(), far.GetStatistics() })
        {
            Check.Equal((long)there.Length, statistics.BytesAcknowledged);
            Check.Equal((long)back.Length, statistics.BytesReceived);
        }

        Check.That(near.GetStatistics().Retransmissions > 0);
        client.Dispose();
        server.Dispose();
    }
}
