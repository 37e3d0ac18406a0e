using System.Diagnostics;
using System.Net;
using Microsoft.FSharp.Reflection;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>How nodes and listeners come and go.</summary>
public static class Lifecycle
{
    [Fact("a node has its address and its statistics")]
    public static async Task Properties()
    {
        await using var pair = await Pair.OpenAsync();
        Check.That(pair.Server.LocalEndPoint.Port > 0);
        Check.Equal(IPAddress.Loopback, pair.Server.LocalEndPoint.Address);
        Check.Equal(pair.Server.LocalEndPoint, (IPEndPoint)pair.Server.Socket!.LocalEndPoint!);
        Check.Equal(pair.Server.LocalEndPoint, pair.Far.LocalEndPoint);
        Check.Equal(pair.Server.LocalEndPoint, pair.Listener.LocalEndPoint);
        Check.Equal(1, pair.Server.GetStatistics().IncomingConnections);
        Check.Equal(0, pair.Server.GetStatistics().OutgoingConnections);
        Check.Equal(1, pair.Client.GetStatistics().OutgoingConnections);
    }

    [Fact("a node counts each uncommon rule by its name")]
    public static async Task RuleCounts()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var before = server.GetRuleCounts();
        Check.Equal(FSharpType.GetUnionCases(typeof(Rule), null).Length, before.Count);
        Check.That(before.Values.All(count => count == 0));
        for (var round = 0; round < 3; round++)
        {
            await Check.ThrowsAsync<UtpException>(() => client.ConnectAsync(server.LocalEndPoint).Within());
        }

        Check.Equal(3L, server.GetRuleCounts()["NotListening"]);
        Check.Equal(3L, client.GetRuleCounts()["ResetAccepted"]);
        Check.Equal(0L, before["NotListening"], "the snapshot");
        await server.DisposeAsync();
        Check.Equal(3L, server.GetRuleCounts()["NotListening"]);
    }

    [Fact("by default a node speaks IPv4 and IPv6 on one port")]
    public static async Task DualStack()
    {
        await using var server = await UtpNode.BindAsync();
        await using var client = await UtpNode.BindAsync();
        Skip.Unless(server.LocalEndPoint.Address.Equals(IPAddress.IPv6Any), "There is no IPv6 here.");
        var listener = server.Listen();
        foreach (var address in new[] { IPAddress.Loopback, IPAddress.IPv6Loopback })
        {
            var remote = new IPEndPoint(address, server.LocalEndPoint.Port);
            var near = await client.ConnectAsync(remote).Within();
            var far = await listener.AcceptAsync().Within();
            Check.Equal(remote, near.RemoteEndPoint);
            Check.Equal(address, far.RemoteEndPoint.Address);
            await near.WriteAsync(Waiting.Bytes(10_000), completeWrites: true).Within();
            Waiting.Same(Waiting.Bytes(10_000), await far.ReadToEndAsync());
        }

        client.Dispose();
        server.Dispose();
    }

    [Fact("a mapped IPv4 address is the IPv4 address")]
    public static async Task Mapped()
    {
        await using var server = await Pair.BindAsync();
        _ = server.Listen();
        using var client = UtpNode.Bind(new IPEndPoint(IPAddress.IPv6Any, 0));
        var stream = await client.ConnectAsync(new IPEndPoint(IPAddress.Loopback.MapToIPv6(), server.LocalEndPoint.Port)).Within();
        Check.Equal(server.LocalEndPoint, stream.RemoteEndPoint);
        server.Dispose();
    }

    [Fact("closing waits until the peer has acknowledged everything")]
    public static async Task CloseFlushes()
    {
        await using var pair = await Pair.OpenAsync();
        var sent = Waiting.Bytes(700_000);
        await pair.Near.WriteAsync(sent).Within();
        var reading = pair.Far.ReadToEndAsync();
        var closing = pair.Client.CloseAsync(TimeSpan.FromSeconds(10)).AsTask();
        Waiting.Same(sent, await reading);
        pair.Far.Dispose();
        await closing.Within();
        await pair.Near.Closed.Within();
        Check.That(pair.Client.Completion.IsCompletedSuccessfully);
    }

    [Fact("closing resets the streams with unread bytes, and lets the others finish")]
    public static async Task CloseUnread()
    {
        await using var pair = await Pair.OpenAsync();
        var accepting = pair.Listener.AcceptAsync().AsTask();
        var other = await pair.Client.ConnectAsync(pair.Server.LocalEndPoint).Within();
        var otherFar = await accepting.Within();
        await other.WriteAsync("all of it"u8.ToArray()).Within();
        await pair.Near.WriteAsync("lost"u8.ToArray()).Within();
        await pair.Far.WriteAsync(new byte[10]).Within();
        await pair.Near.ReadAsync(Memory<byte>.Empty).Within();
        var closing = pair.Client.DisposeAsync().AsTask();
        var reset = await Check.ThrowsAsync<UtpException>(() => pair.Far.Closed.Within());
        Check.Equal(UtpError.ConnectionReset, reset.Error);
        Waiting.Same("all of it"u8.ToArray(), await otherFar.ReadToEndAsync());
        otherFar.Dispose();
        await closing.Within();
        await other.Closed.Within();
        Check.Equal(UtpError.NodeClosed, (await Check.ThrowsAsync<UtpException>(() => pair.Near.Closed.Within())).Error);
        Check.Equal(UtpError.NodeClosed, (await Check.ThrowsAsync<UtpException>(() => pair.Near.ReadAsync(new byte[20]).Within())).Error);
    }

    [Fact("closing does not wait for a peer that has everything and keeps its side open")]
    public static async Task CloseLeavesOpenPeers()
    {
        await using var pair = await Pair.OpenAsync(options => options.LingerTimeout = Timeout.InfiniteTimeSpan);
        var sent = Waiting.Bytes(100_000);
        await pair.Near.WriteAsync(sent).Within();
        var reading = pair.Far.ReadToEndAsync();
        var started = Stopwatch.GetTimestamp();
        await pair.Client.DisposeAsync().Within();
        Check.That(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(5), $"{Stopwatch.GetElapsedTime(started)}");
        Waiting.Same(sent, await reading);
        await pair.Near.WritesClosed.Within();
        await pair.Near.Closed.Within();
        await Check.ThrowsAsync<UtpException>(() => pair.Near.ReadsClosed.Within());
        Check.Equal(UtpError.ConnectionReset, (await Check.ThrowsAsync<UtpException>(() => pair.Far.Closed.Within())).Error);
    }

    [Fact("two nodes whose streams have ended in order close at once, in either order")]
    public static async Task CloseAfterTheEnd()
    {
        foreach (var clientFirst in new[] { true, false })
        {
            await using var pair = await Pair.OpenAsync();
            var (first, last) = clientFirst ? (pair.Near, pair.Far) : (pair.Far, pair.Near);
            first.CompleteWrites();
            await last.ReadsClosed.Within();
            last.CompleteWrites();
            var started = Stopwatch.GetTimestamp();
            await Task.WhenAll(pair.Client.DisposeAsync().AsTask(), pair.Server.DisposeAsync().AsTask()).Within();
            await Task.WhenAll(pair.Near.Closed, pair.Far.Closed).Within();

            // The wait without a farewell is 8 s.
            Check.That(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(5), $"{Stopwatch.GetElapsedTime(started)}");
        }
    }

    [Fact("closing waits until the peer has the last acknowledgement, also when that is lost")]
    public static async Task CloseRepeatsTheLastAcknowledgement()
    {
        const int State = 2;
        const int Fin = 1;
        var finsOfServer = 0;
        var lost = 0;
        await using var server = await Pair.BindAsync();
        using var relay = new UdpRelay(server.LocalEndPoint, drop: (direction, _, datagram) =>
        {
            var type = datagram.Span[0] >> 4;
            finsOfServer += direction == RelayDirection.ToClient && type == Fin ? 1 : 0;
            return direction == RelayDirection.ToTarget && type == State && finsOfServer > 0 && lost++ < 2;
        });
        var client = await Pair.BindAsync();
        var accepting = server.Listen().AcceptAsync().AsTask();
        var near = await client.ConnectAsync(relay.EndPoint).Within();
        var far = await accepting.Within();
        near.CompleteWrites();
        await far.ReadsClosed.Within();
        await near.WritesClosed.Within();
        far.CompleteWrites();
        await near.Closed.Within();
        await client.DisposeAsync().Within();
        await far.Closed.Within();
        Check.That(lost >= 2, $"{lost} acknowledgements were to be lost");
    }

    [Fact("closing with no time resets what is left")]
    public static async Task CloseResets()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Client.CloseAsync(TimeSpan.Zero).Within();
        Check.Equal(UtpError.NodeClosed, (await Check.ThrowsAsync<UtpException>(() => pair.Near.Closed.Within())).Error);
        Check.Equal(UtpError.ConnectionReset, (await Check.ThrowsAsync<UtpException>(() => pair.Far.ReadAsync(new byte[1]).Within())).Error);
    }

    [Fact("closing gives up at its deadline, or when it is cancelled")]
    public static async Task CloseIsBounded()
    {
        await using var first = await Pair.OpenAsync(Unending);
        await first.Near.WriteAsync(new byte[500_000]).Within();
        await first.Client.CloseAsync(TimeSpan.FromMilliseconds(200)).Within();
        Check.Equal(UtpError.NodeClosed, (await Check.ThrowsAsync<UtpException>(() => first.Near.Closed.Within())).Error);
        await using var second = await Pair.OpenAsync(Unending);
        await second.Near.WriteAsync(new byte[500_000]).Within();
        using var source = new CancellationTokenSource();
        var closing = second.Client.CloseAsync(Timeout.InfiniteTimeSpan, source.Token).AsTask();
        Check.That(!closing.IsCompleted);
        await source.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => closing.Within());
        await second.Client.Completion.Within();
    }

    [Fact("closing ends everything that waits")]
    public static async Task CloseEndsWaits()
    {
        await using var pair = await Pair.OpenAsync(options =>
        {
            options.SendBufferSize = 256 * 1024;
            options.ReceiveBufferSize = 64 * 1024;
        });
        var waits = new[]
        {
            pair.Near.ReadAsync(new byte[1]).AsTask(),
            pair.Near.WriteAsync(new byte[1_000_000]).AsTask(),
            pair.Near.DrainAsync().AsTask(),
            pair.Client.Listen().AcceptAsync().AsTask(),
            pair.Client.ConnectAsync(new IPEndPoint(IPAddress.Loopback, 9)).AsTask(),
        };
        await Task.WhenAll(
            pair.Client.CloseAsync(TimeSpan.FromMilliseconds(300)).AsTask(),
            pair.Client.CloseAsync(TimeSpan.FromMilliseconds(400)).AsTask(),
            pair.Client.DisposeAsync().AsTask()).Within();
        foreach (var wait in waits)
        {
            Check.Equal(UtpError.NodeClosed, (await Check.ThrowsAsync<UtpException>(() => wait.Within())).Error);
        }

        await Check.ThrowsAsync<UtpException>(() => pair.Near.Closed.Within());
        Check.Throws<UtpException>(() => pair.Near.ReadByte());
        pair.Near.Dispose();
        await pair.Near.DisposeAsync().Within();
    }

    [Fact("a closed node's port is free, and its thread gone")]
    public static async Task NothingLeft()
    {
        var node = await Pair.BindAsync();
        var bound = node.LocalEndPoint;
        Check.That(node.Engine.IsAlive);
        node.Dispose();
        Check.That(!node.Engine.IsAlive && node.Completion.IsCompletedSuccessfully);
        UtpNode.Bind(bound).Dispose();
        node = await Pair.BindAsync();
        await node.DisposeAsync().Within();
        await Waiting.UntilAsync(() => !node.Engine.IsAlive);
    }

    [Fact("a node may be closed from its own callback")]
    public static async Task DisposedByItsOwnThread()
    {
        await using var node = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        node.DatagramHandler = (_, _, self) => self.Dispose();
        await other.SendDatagramAsync("not uTP"u8.ToArray(), node.LocalEndPoint).Within();
        await node.Completion.Within();
    }

    [Fact("many streams at once, each with its own bytes")]
    public static async Task ManyStreams()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var listener = server.Listen(new UtpListenOptions { Backlog = 500 });
        var serving = Task.Run(async () =>
        {
            var echoes = new List<Task>();
            await foreach (var stream in listener.AcceptAllAsync())
            {
                echoes.Add(EchoAsync(stream));
            }

            await Task.WhenAll(echoes);
        });
        const int Count = 200;
        await Task.WhenAll(Enumerable.Range(0, Count).Select(async seed =>
        {
            var sent = Waiting.Bytes(20_000, seed);
            await using var stream = await client.ConnectAsync(server.LocalEndPoint);
            var writing = stream.WriteAsync(sent, completeWrites: true);
            Waiting.Same(sent, await stream.ReadToEndAsync());
            await writing;
        })).Within();
        await listener.DisposeAsync();
        await serving.Within();
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 0 && server.GetStatistics().IncomingConnections == 0);
        client.Dispose();
        server.Dispose();
    }

    [Fact("two nodes dial each other, each on its one port")]
    public static async Task BothDial()
    {
        await using var left = await Pair.BindAsync();
        await using var right = await Pair.BindAsync();
        var atLeft = left.Listen();
        var atRight = right.Listen();
        for (var round = 0; round < 20; round++)
        {
            var toRight = left.ConnectAsync(right.LocalEndPoint).AsTask();
            var toLeft = right.ConnectAsync(left.LocalEndPoint).AsTask();
            var streams = await Task.WhenAll(
                toRight, toLeft, atRight.AcceptAsync().AsTask(), atLeft.AcceptAsync().AsTask()).Within();
            for (var index = 0; index < streams.Length; index++)
            {
                await streams[index].WriteAsync(new[] { (byte)index }, completeWrites: true).Within();
            }

            Check.Equal(2, streams[0].ReadByte());
            Check.Equal(3, streams[1].ReadByte());
            Check.Equal(0, streams[2].ReadByte());
            Check.Equal(1, streams[3].ReadByte());
            await Task.WhenAll(streams.Select(stream => stream.DisposeAsync().AsTask())).Within();
        }

        left.Dispose();
        right.Dispose();
    }

    [Fact("a node dials itself")]
    public static async Task DialsItself()
    {
        await using var node = await Pair.BindAsync();
        var listener = node.Listen();
        var near = await node.ConnectAsync(node.LocalEndPoint).Within();
        var far = await listener.AcceptAsync().Within();
        await near.WriteAsync(new byte[] { 42 }).Within();
        Check.Equal(42, far.ReadByte());
        node.Dispose();
    }

    [Fact("a server that starts to listen late is reached by a peer that dials again")]
    public static async Task ListensLate()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        for (var round = 0; round < 3; round++)
        {
            await Check.ThrowsAsync<UtpException>(() => client.ConnectAsync(server.LocalEndPoint).Within());
        }

        var listener = server.Listen();
        await using var near = await client.ConnectAsync(server.LocalEndPoint).Within();
        await using var far = await listener.AcceptAsync().Within();
        client.Dispose();
        server.Dispose();
    }

    [Fact("streams one after the other between the same two ports do not disturb each other")]
    public static async Task IdsAreNotReused()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var listener = server.Listen();
        var last = (ushort)0;
        for (var round = 0; round < 300; round++)
        {
            var near = await client.ConnectAsync(server.LocalEndPoint).Within();
            var far = await listener.AcceptAsync().Within();
            await near.WriteAsync(new[] { (byte)round }, completeWrites: true).Within();
            Check.Equal(round & 255, far.ReadByte());
            Check.Equal(-1, far.ReadByte());
            far.Dispose();
            Check.Equal(-1, near.ReadByte());
            near.Dispose();
            Check.That(round == 0 || near.ConnectionId != last);
            last = near.ConnectionId;
        }

        client.Dispose();
        server.Dispose();
    }

    private static async Task EchoAsync(UtpStream stream)
    {
        await using (stream)
        {
            await stream.CopyToAsync(stream);
            stream.CompleteWrites();
        }
    }

    // Of half a megabyte the peer takes a part, and nothing ends the stream but the node.
    private static void Unending(UtpNodeOptions options)
    {
        options.LingerTimeout = Timeout.InfiniteTimeSpan;
        options.ReceiveBufferSize = 64 * 1024;
    }
}
