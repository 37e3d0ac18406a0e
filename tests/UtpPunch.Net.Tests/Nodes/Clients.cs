using System.Net;

namespace UtpPunch.Tests;

/// <summary>Streams with a node of their own, and streams that are closed with the certainty that all has arrived.</summary>
public static class Clients
{
    [Fact("a client opens a stream from a node of its own, which is closed when the stream has ended")]
    public static async Task Opens()
    {
        await using var server = await Pair.BindAsync();
        await using var listener = server.Listen();
        var near = await UtpClient.ConnectAsync("127.0.0.1", server.LocalEndPoint.Port).Within();
        var far = await listener.AcceptAsync().Within();
        await near.WriteAsync(new byte[] { 1, 2, 3 }, completeWrites: true).Within();
        Waiting.Same([1, 2, 3], await far.ReadToEndAsync());
        await far.DisposeAsync();
        Check.Equal(-1, near.ReadByte());
        await near.DisposeAsync();
        await near.Closed.Within();
        await near.Engine.Completion.Within();
    }

    [Fact("the node of a client that finds no peer is closed, and the error is that of the connect")]
    public static async Task Fails()
    {
        await using var gone = await Pair.BindAsync();
        var address = gone.LocalEndPoint;
        await gone.DisposeAsync();
        var options = new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0), ConnectTimeout = TimeSpan.FromMilliseconds(300) };
        var error = await Check.ThrowsAsync<UtpException>(() => UtpClient.ConnectAsync(address, options).AsTask().Within());
        Check.Equal(UtpError.ConnectTimeout, error.Error);
        await Check.ThrowsAsync<ArgumentException>(() => UtpClient.ConnectAsync("", 1).AsTask());
        await Check.ThrowsAsync<ArgumentException>(() => UtpClient.ConnectAsync("127.0.0.1", 0).AsTask());
        await Check.ThrowsAsync<OperationCanceledException>(() => UtpClient.ConnectAsync("127.0.0.1", 1, new CancellationToken(true)).AsTask());
    }

    [Fact("a stream that was closed has delivered everything, and is disposed")]
    public static async Task Closes()
    {
        await using var pair = await Pair.OpenAsync();
        var sent = Waiting.Bytes(300_000);
        var reading = pair.Far.ReadToEndAsync();
        await pair.Near.WriteAsync(sent).Within();
        await pair.Near.CloseAsync().Within();
        Check.That(pair.Near.WritesClosed.IsCompletedSuccessfully && !pair.Near.CanRead);
        Waiting.Same(sent, await reading);
        await Check.ThrowsAsync<ObjectDisposedException>(() => pair.Near.CloseAsync().AsTask());
    }

    [Fact("closing a stream whose peer has aborted it throws the reason, and a close that is cancelled resets it")]
    public static async Task ClosesInVain()
    {
        await using (var pair = await Pair.OpenAsync())
        {
            pair.Far.Abort(9);
            var error = await Check.ThrowsAsync<UtpException>(() => pair.Near.CloseAsync().AsTask().Within());
            Check.Equal(UtpError.ConnectionReset, error.Error);
            Check.That(!pair.Near.CanWrite);
        }

        var network = new UtpMemoryNetwork();
        await using var cut = await Pair.OpenAsync(options =>
        {
            options.LocalEndPoint = new IPEndPoint(IPAddress.IPv6Any, 0);
            options.TransportFactory = network.Bind;
        });
        network.Passes = (_, _) => false;
        await cut.Near.WriteAsync(new byte[10]).Within();
        using var source = new CancellationTokenSource();
        var closing = cut.Near.CloseAsync(source.Token).AsTask();
        await source.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => closing.Within());
        await Check.ThrowsAsync<UtpException>(() => cut.Near.Closed.Within());
    }

    [Fact("a stream's text names both ends, a node's copy of options is whole")]
    public static async Task Texts()
    {
        await using var pair = await Pair.OpenAsync();
        Check.Equal($"uTP {pair.Client.LocalEndPoint} to {pair.Server.LocalEndPoint} (id {pair.Near.ConnectionId})", $"{pair.Near}");
        Check.Equal($"uTP {pair.Server.LocalEndPoint} from {pair.Client.LocalEndPoint} (id {pair.Far.ConnectionId})", $"{pair.Far}");
        var options = new UtpNodeOptions { MaxConnections = 7, HostAddresses = [IPAddress.Loopback] };
        var copy = options.Clone();
        options.MaxConnections = 8;
        Check.Equal(7, copy.MaxConnections);
        Check.That(ReferenceEquals(options.HostAddresses, copy.HostAddresses));
        Check.Equal("x", new UtpPunchOptions { Secret = "x" }.Clone().Secret);
    }
}
