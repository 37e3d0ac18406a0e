namespace UtpPunch.Tests;

/// <summary>Allocations of data transfer.</summary>
public static class Garbage
{
    private const int Length = 20_000_000;

    [Fact("transferring a megabyte allocates a small part of a megabyte: slabs and written arrays are reused", Over = TransportUnderTest.Linux)]
    public static async Task PerByteMoved()
    {
        await using var pair = await Pair.OpenAsync();
        await MoveAsync(pair, Length); // The path's size is found, and the pools are filled.

        // How much is unread at once, and so how much the pools must hold, depends on the scheduler. A slab or an array that is not reused
        // costs a byte for each byte in any round.
        var least = double.MaxValue;
        for (var round = 0; round < 4; round++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            await MoveAsync(pair, Length);
            least = Math.Min(least, (double)(GC.GetTotalAllocatedBytes(precise: true) - before) / Length);
        }

        Check.That(least < 0.9, $"{least:F3} bytes were allocated for each byte that was moved");
    }

    private static async Task MoveAsync(Pair pair, int length)
    {
        var written = new byte[100_000];
        var writing = Task.Run(async () =>
        {
            for (var left = length; left > 0; left -= written.Length)
            {
                await pair.Near.WriteAsync(written);
            }
        });
        var read = new byte[200_000];
        for (var left = length; left > 0;)
        {
            left -= await pair.Far.ReadAsync(read.AsMemory(0, Math.Min(left, read.Length))).Within();
        }

        await writing.Within();
    }
}
