namespace UtpPunch.Tests;

internal static class Waiting
{
    /// <summary>Waits until a condition holds, for a bounded time.</summary>
    public static async Task UntilAsync(Func<bool> condition, string claim)
    {
        var limit = Task.Delay(WebPair.Limit);
        while (!condition())
        {
            Check.That(!limit.IsCompleted, claim);
            await Task.Delay(5);
        }
    }

    public static byte[] Bytes(int count, int seed = 1)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
