namespace UtpPunch.Tests;

/// <summary>The buffers of a node's socket.</summary>
public static class SocketBuffers
{
    [Fact("a node reports the buffers that the system has granted, in the units of its options")]
    public static async Task Granted()
    {
        await using var modest = await Pair.BindAsync(options => (options.SocketReceiveBufferSize, options.SocketSendBufferSize) = (96 << 10, 80 << 10));
        Check.Equal(96 << 10, modest.GetStatistics().SocketReceiveBufferSize);
        Check.Equal(80 << 10, modest.GetStatistics().SocketSendBufferSize);
        await using var greedy = await Pair.BindAsync(options => (options.SocketReceiveBufferSize, options.SocketSendBufferSize) = (1 << 30, 1 << 30));
        if (OperatingSystem.IsLinux())
        {
            Check.Equal(Limit("rmem_max"), greedy.GetStatistics().SocketReceiveBufferSize);
            Check.Equal(Limit("wmem_max"), greedy.GetStatistics().SocketSendBufferSize);
        }
    }

    private static int Limit(string name) => Math.Min(1 << 30, int.Parse(File.ReadAllText($"/proc/sys/net/core/{name}"), null));
}
