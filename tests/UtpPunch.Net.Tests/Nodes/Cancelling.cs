using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>What was cancelled is over in the node as well, not only for the caller.</summary>
public static class Cancelling
{
    // Below it, nothing but the cancellation can have ended anything.
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(3);

    [Fact("a connect that was cancelled leaves no stream in the node, long before its time-out")]
    public static async Task Connect()
    {
        using var mute = Mute();
        await using var client = await Pair.BindAsync(options => options.ConnectTimeout = TimeSpan.FromMinutes(1));
        using var source = new CancellationTokenSource();
        var connecting = client.ConnectAsync(mute.LocalEndPoint!, null, source.Token).AsTask();
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 1);
        await source.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => connecting.Within());
        await UntilSoonAsync(() => client.GetStatistics().OutgoingConnections == 0);
    }

    [Fact("a token that was cancelled before cancels a connect to any kind of end point, and is the exception's")]
    public static async Task ConnectCancelledBefore()
    {
        await using var client = await UtpNode.BindAsync(new IPEndPoint(IPAddress.Loopback, 0));
        using var source = new CancellationTokenSource();
        await source.CancelAsync();
        foreach (var remote in new EndPoint[]
        {
            new IPEndPoint(IPAddress.Loopback, 9), new IPEndPoint(IPAddress.Any, 9), new IPEndPoint(IPAddress.IPv6Any, 9), new DnsEndPoint("localhost", 9),
        })
        {
            var error = await Check.ThrowsAsync<OperationCanceledException>(() => client.ConnectAsync(remote, source.Token).AsTask().Within());
            Check.Equal(source.Token, error.CancellationToken, $"{remote}");
        }

        await Check.ThrowsAsync<OperationCanceledException>(() => UtpNode.BindAsync(new IPEndPoint(IPAddress.Loopback, 0), source.Token).AsTask());
    }

    [Fact("a meeting that is cancelled carries the caller's token, with one server and with two")]
    public static async Task Meeting()
    {
        using var mute = Mute();
        using var other = Mute();
        await using var node = await Pair.BindAsync();
        foreach (var servers in new EndPoint[][] { [mute.LocalEndPoint!], [mute.LocalEndPoint!, other.LocalEndPoint!] })
        {
            using var source = new CancellationTokenSource();
            var meeting = new UtpRendezvousClient(node, servers).PunchAsync("room", null, source.Token).AsTask();
            await Waiting.UntilAsync(() => mute.Available > 0);
            await source.CancelAsync();
            var error = await Check.ThrowsAsync<OperationCanceledException>(() => meeting.Within());
            Check.Equal(source.Token, error.CancellationToken);
            while (mute.Available > 0)
            {
                mute.Receive(new byte[2000]);
            }
        }
    }

    [Fact("a discovery that is cancelled is over in the node")]
    public static async Task Discovery()
    {
        using var mute = Mute();
        await using var node = await Pair.BindAsync();
        using var source = new CancellationTokenSource();
        var discovering = node.DiscoverNatAsync(mute.LocalEndPoint!, TimeSpan.FromMinutes(5), source.Token).AsTask();
        await Waiting.UntilAsync(() => mute.Available > 0);
        Check.That(NodeModule.Deadline(node.Engine.Node) < Time.never);
        await source.CancelAsync();
        var error = await Check.ThrowsAsync<OperationCanceledException>(() => discovering.Within());
        Check.Equal(source.Token, error.CancellationToken);
        await UntilSoonAsync(() => NodeModule.Deadline(node.Engine.Node) == Time.never);
    }

    [Fact("when one address of a name has answered, nothing is left of the attempts at the others, long before their time-out")]
    public static async Task Losers()
    {
        using var mute = Mute();
        await using var server = await Pair.BindAsync();
        _ = server.Listen();
        await using var client = await Pair.BindAsync();
        var remotes = new[] { Addresses.ToEndpoint((IPEndPoint)mute.LocalEndPoint!), Addresses.ToEndpoint(server.LocalEndPoint) };
        var near = await client.DialAnyAsync(remotes, new UtpPunch.Dialling(Dialect.Bep29, TimeSpan.FromMinutes(1), UtpCongestionControl.Bbr), default).Within();
        Check.Equal(server.LocalEndPoint, near!.RemoteEndPoint);
        await UntilSoonAsync(() => client.GetStatistics().OutgoingConnections == 1);
        near.Abort();
    }

    [Fact("a punch that was cancelled sends nothing more")]
    public static async Task Punch()
    {
        using var mute = Mute();
        await using var node = await Pair.BindAsync();
        using var source = new CancellationTokenSource();
        var punching = node.PunchNpmAsync(mute.LocalEndPoint!, attempts: 100, source.Token).AsTask();
        await Waiting.UntilAsync(() => mute.Available > 0);
        await source.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => punching.Within());

        // The cancellation is a command to the node: it has come there before this datagram goes out.
        await node.SendDatagramAsync("last"u8.ToArray(), (IPEndPoint)mute.LocalEndPoint!).Within();
        var buffer = new byte[100];
        while (!buffer.AsSpan(0, mute.Receive(buffer)).SequenceEqual("last"u8))
        {
        }

        // Two of its intervals, of half a second each.
        mute.ReceiveTimeout = 1200;
        Check.Equal(SocketError.TimedOut, Check.Throws<SocketException>(() => mute.Receive(buffer)).SocketErrorCode);
    }

    private static Socket Mute()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    private static async Task UntilSoonAsync(Func<bool> condition)
    {
        var begun = Clock.Now;
        await Waiting.UntilAsync(condition);
        Check.That(Clock.Since(begun) < Soon, $"it took {Clock.Since(begun)}");
    }
}
