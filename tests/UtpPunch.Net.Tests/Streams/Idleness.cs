using System.Diagnostics;

namespace UtpPunch.Tests;

/// <summary>The memory of idle streams.</summary>
public static class Idleness
{
    private const string Claim = "an idle stream costs less than 2.7 KB at each end";
    private const string Alone = "UTPPUNCH_TESTS_ALONE";
    private const int Streams = 4000;

    // Other tests leave megabytes in pools and threads, so this test runs itself once more in a process of its own.
    [Fact(Claim)]
    public static async Task Footprint()
    {
        if (Environment.GetEnvironmentVariable(Alone) is not null)
        {
            await MeasureAsync();
            return;
        }

        var start = new ProcessStartInfo(
            Environment.ProcessPath!, [typeof(Idleness).Assembly.Location, "--filter-test-case", Claim, "--no-spinner", "--colours", "0"])
        {
            RedirectStandardOutput = true,
            Environment = { [Alone] = "1" },
        };
        using var process = Process.Start(start)!;
        var said = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Check.That(process.ExitCode == 0, said);
    }

    private static async Task MeasureAsync()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        await using var listener = server.Listen();
        var (near, far) = (new UtpStream[Streams + 1], new UtpStream[Streams + 1]);

        // After the first stream, the nodes have allocated what they need themselves.
        await OpenAsync(0);
        var before = await MemoryAsync();
        for (var index = 1; index <= Streams; index++)
        {
            await OpenAsync(index);
        }

        var each = (await MemoryAsync() - before) / (2.0 * Streams);
        Check.That(each is > 1000 and < 2700, $"{each} bytes are less than 2700");
        GC.KeepAlive(near);
        GC.KeepAlive(far);

        async Task OpenAsync(int index)
        {
            var accepting = listener.AcceptAsync().AsTask();
            near[index] = await client.ConnectAsync(server.LocalEndPoint).Within();
            far[index] = await accepting.Within();
            var buffer = new byte[1];
            await near[index].WriteAsync(buffer).Within();
            Check.Equal(1, await far[index].ReadAsync(buffer).Within());
            await far[index].WriteAsync(buffer).Within();
            Check.Equal(1, await near[index].ReadAsync(buffer).Within());
        }
    }

    // Until it falls no more, since acknowledgements and keys may still be in flight, and without the buffers that the pool keeps for further use.
    private static async Task<long> MemoryAsync()
    {
        var least = long.MaxValue;
        for (var same = 0; same < 5;)
        {
            await Task.Delay(100);
            EmptyPool();
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
            var now = GC.GetTotalMemory(forceFullCollection: true);
            same = now < least - (least / 500) ? 0 : same + 1;
            least = Math.Min(least, now);
        }

        return least;
    }

    // Buffers that the pool returns without allocating were in the pool, and are dropped.
    private static void EmptyPool()
    {
        long allocated;
        do
        {
            allocated = GC.GetAllocatedBytesForCurrentThread();
            BufferPool.Shared.Rent();
        }
        while (GC.GetAllocatedBytesForCurrentThread() - allocated < Slab.Size);
    }
}
