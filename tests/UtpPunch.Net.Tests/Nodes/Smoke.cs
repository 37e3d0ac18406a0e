namespace UtpPunch.Tests;

public static class Smoke
{
    [Fact("bytes arrive both ways and both ends close", Timeout = 20)]
    public static async Task BothWays()
    {
        await using var pair = await Pair.OpenAsync();
        var hello = Waiting.Bytes(5, 1);
        var world = Waiting.Bytes(300_000, 2);
        await pair.Near.WriteAsync(hello, completeWrites: true).Within();
        Waiting.Same(hello, await pair.Far.ReadToEndAsync());
        await pair.Far.WriteAsync(world, completeWrites: true).Within();
        Waiting.Same(world, await pair.Near.ReadToEndAsync());
        await pair.Near.Closed.Within();
        await pair.Far.Closed.Within();
        Check.That(pair.Far.IsIncoming && !pair.Near.IsIncoming);
        Check.Equal(pair.Server.LocalEndPoint, pair.Near.RemoteEndPoint);
        Check.Equal(pair.Client.LocalEndPoint, pair.Far.RemoteEndPoint);
    }
}
