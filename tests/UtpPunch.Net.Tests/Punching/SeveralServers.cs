using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Meetings at several rendezvous servers at once.</summary>
public static class SeveralServers
{
    [Fact("two servers, of which one is silent or has no address: peers meet at once, whatever their order")]
    public static async Task OneDead()
    {
        await using var server = Serve();
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        foreach (var dead in new EndPoint[] { silent.LocalEndPoint!, new DnsEndPoint("does-not-exist.invalid", 42000) })
        {
            await using var one = await Pair.BindAsync();
            await using var other = await Pair.BindAsync();
            await ExchangeAsync(
                new UtpRendezvousClient(one, [dead, server.LocalEndPoints[0]]), new UtpRendezvousClient(other, [server.LocalEndPoints[0], dead]));
        }
    }

    [Fact("two servers that both work, asked in either order: the peers agree on one path, each time")]
    [CarriesStreams]
    public static async Task BothAlive()
    {
        await using var first = Serve();
        await using var second = Serve();
        var servers = new[] { first.LocalEndPoints[0], second.LocalEndPoints[0] };
        for (var round = 0; round < 20; round++)
        {
            await using var one = await Pair.BindAsync();
            await using var other = await Pair.BindAsync();
            await ExchangeAsync(new UtpRendezvousClient(one, servers), new UtpRendezvousClient(other, round % 2 == 0 ? servers : [.. servers.Reverse()]));
        }
    }

    [Fact("a node that stays at two servers serves peers of each, and peers of both once")]
    public static async Task Stays()
    {
        await using var first = Serve();
        await using var second = Serve();
        EndPoint[] servers = [first.LocalEndPoints[0], second.LocalEndPoints[0]];
        await using var host = await Pair.BindAsync();
        using var leave = new CancellationTokenSource();
        var met = 0;
        var hosting = Task.Run(async () =>
        {
            await foreach (var stream in new UtpRendezvousClient(host, servers).AcceptAllAsync("service", null, leave.Token))
            {
                var name = new byte[1];
                await stream.ReadExactlyAsync(name);
                await stream.WriteAsync(name);
                met++;
            }
        });
        EndPoint[][] choices = [servers, [servers[1]], [servers[0]], [servers[1], servers[0]]];
        foreach (var choice in choices)
        {
            using var node = await Pair.BindAsync();
            await using var stream = await new UtpRendezvousClient(node, choice).ConnectAsync("service").AsTask().Within();
            await stream.WriteAsync(new byte[] { 5 }).Within();
            Check.Equal(5, stream.ReadByte());
        }

        await leave.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => hosting.Within());
        Check.Equal(choices.Length, met);
    }

    [Fact("a server of IPv4 and one of IPv6: peers meet, by either")]
    public static async Task Families()
    {
        Skip.Unless(Socket.OSSupportsIPv6, "this machine has no IPv6");
        await using var first = Serve();
        await using var second = Serve(IPAddress.IPv6Loopback);
        EndPoint[] servers = [first.LocalEndPoints[0], second.LocalEndPoints[0]];
        await using var one = await UtpNode.BindAsync();
        await using var other = await UtpNode.BindAsync();
        await ExchangeAsync(new UtpRendezvousClient(one, servers), new UtpRendezvousClient(other, [.. servers.Reverse()]));
        await using var third = await UtpNode.BindAsync();
        await using var fourth = await UtpNode.BindAsync();
        await ExchangeAsync(new UtpRendezvousClient(third, servers), new UtpRendezvousClient(fourth, servers[1]));
    }

    [Fact("if no server works, the failure is that of the one that said most; no server and four are refused")]
    public static async Task Failures()
    {
        await using var server = Serve();
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var node = await Pair.BindAsync();
        var options = new UtpPunchOptions { Timeout = TimeSpan.FromSeconds(1) };
        var result = await new UtpRendezvousClient(node, [silent.LocalEndPoint!, server.LocalEndPoints[0]]).PunchAsync("room", options).AsTask().Within();
        Check.Equal(UtpPunchStage.NoPeer, result.Stage);
        result = await new UtpRendezvousClient(node, [silent.LocalEndPoint!, silent.LocalEndPoint!]).PunchAsync("room", options).AsTask().Within();
        Check.Equal(UtpPunchStage.ServerSilent, result.Stage);
        await Check.ThrowsAsync<ArgumentException>(() => Task.FromResult(new UtpRendezvousClient(node, Array.Empty<EndPoint>())));
        await Check.ThrowsAsync<ArgumentException>(
            () => Task.FromResult(new UtpRendezvousClient(node, Enumerable.Repeat(silent.LocalEndPoint!, 4).ToArray())));
    }

    private static async Task ExchangeAsync(UtpRendezvousClient one, UtpRendezvousClient other)
    {
        var streams = await Task.WhenAll(one.ConnectAsync("room").AsTask(), other.ConnectAsync("room").AsTask()).Within();
        Check.Equal(1, streams.Count(stream => stream.IsIncoming));
        foreach (var (from, to) in new[] { (streams[0], streams[1]), (streams[1], streams[0]) })
        {
            await from.WriteAsync(new byte[] { 9 }).Within();
            var heard = new byte[1];
            await to.ReadExactlyAsync(heard).Within();
            Check.Equal(9, heard[0]);
        }

        streams[0].Abort();
    }

    private static UtpRendezvousServer Serve(IPAddress? address = null)
    {
        var local = new IPEndPoint(address ?? IPAddress.Loopback, 0);
        return UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [local, local], DatagramsPerSecondPerSource = 10_000 });
    }
}
