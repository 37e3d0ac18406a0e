namespace UtpPunch.Tests;

/// <summary>Many streams that are open and say nothing.</summary>
public static class Idleness
{
    private const int Streams = 2000;

    [Fact("an idle stream costs less than 2 KB at each end")]
    public static async Task Footprint()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        await using var listener = server.Listen();
        var (near, far) = (new UtpStream[Streams + 1], new UtpStream[Streams + 1]);

        // What the nodes need for themselves is there once the first stream is.
        await OpenAsync(0);
        var before = await MemoryAsync();
        for (var index = 1; index <= Streams; index++)
        {
            await OpenAsync(index);
        }

        var each = (await MemoryAsync() - before) / (2.0 * Streams);
        Check.That(each < 2000, $"{each} bytes are less than 2000");
        GC.KeepAlive(near);
        GC.KeepAlive(far);

        async Task OpenAsync(int index)
        {
            var accepting = listener.AcceptAsync().AsTask();
            near[index] = await client.ConnectAsync(server.LocalEndPoint).Within();
            far[index] = await accepting.Within();
            var buffer = new byte[1];
            await near[index].WriteAsync(new byte[1]).Within();
            Check.Equal(1, await far[index].ReadAsync(buffer).Within());
            await far[index].WriteAsync(new byte[1]).Within();
            Check.Equal(1, await near[index].ReadAsync(buffer).Within());
        }
    }

    // The median: buffers of the pool come and go, and acknowledgements may still be under way.
    private static async Task<long> MemoryAsync()
    {
        var seen = new List<long>();
        while (seen.Count < 5)
        {
            await Task.Delay(100);
            GC.Collect();
            GC.WaitForPendingFinalizers();
            seen.Add(GC.GetTotalMemory(forceFullCollection: true));
        }

        seen.Sort();
        return seen[2];
    }
}
