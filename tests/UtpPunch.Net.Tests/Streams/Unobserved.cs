using System.Runtime.CompilerServices;

namespace UtpPunch.Tests;

/// <summary>An application that does not observe how a stream ended gets no UnobservedTaskException for it.</summary>
public static class Unobserved
{
    [Fact("a stream that breaks off leaves no exception for the finalizer, although its tasks are not awaited")]
    public static async Task BrokenStreams()
    {
        var unobserved = new List<string>();
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        using var watch = new UnobservedExceptions(server.LocalEndPoint, client.LocalEndPoint);
        for (var round = 0; round < 3; round++)
        {
            await BreakAsync(server, client);
        }

        UnobservedExceptions.Collect();
        Check.Equal("", string.Join('\n', watch.Seen));
    }

    // In a method of its own, so that no local refers to the stream afterwards.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task BreakAsync(UtpNode server, UtpNode client)
    {
        await using var listener = server.Listen();
        var near = await client.ConnectAsync(server.LocalEndPoint).Within();
        var far = await listener.AcceptAsync().Within();
        foreach (var stream in new[] { near, far })
        {
            _ = stream.Closed;
            _ = stream.ReadsClosed;
            await stream.WriteAsync(new byte[100_000]).Within();
            _ = stream.DrainAsync();
        }

        near.Abort();
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 0 && server.GetStatistics().IncomingConnections == 0);
        _ = near.WritesClosed;
        _ = far.WritesClosed;
    }
}
