using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Nodes and servers over a network in memory.</summary>
public static class MemoryNetworks
{
    private const int Megabyte = 1_000_000;

    [Fact("bytes go both ways over a network in memory that loses and delays datagrams")]
    public static async Task Transfers()
    {
        var network = new UtpMemoryNetwork(seed: 7) { LossRate = 0.02, Latency = TimeSpan.FromMilliseconds(3) };
        await using var pair = await OpenAsync(network);
        var (there, back) = (Waiting.Bytes(Megabyte, 1), Waiting.Bytes(Megabyte, 2));
        var sending = Task.WhenAll(
            pair.Near.WriteAsync(there, completeWrites: true).AsTask(), pair.Far.WriteAsync(back, completeWrites: true).AsTask());
        var received = await Task.WhenAll(pair.Far.ReadToEndAsync(), pair.Near.ReadToEndAsync());
        await sending.Within();
        Waiting.Same(there, received[0]);
        Waiting.Same(back, received[1]);
        await Task.WhenAll(pair.Near.Closed, pair.Far.Closed).Within();
        Check.That(network.DatagramsLost > 0);
        Check.That(pair.Client.GetStatistics().Retransmissions + pair.Server.GetStatistics().Retransmissions > 0);
    }

    [Fact("datagrams over a network in memory take its latency")]
    public static async Task Latency()
    {
        var network = new UtpMemoryNetwork { Latency = TimeSpan.FromMilliseconds(30) };
        await using var pair = await OpenAsync(network);
        await pair.Near.WriteAsync(new byte[1]).Within();
        await pair.Near.DrainAsync().Within();
        var trip = pair.Near.GetStatistics().RoundTripTime;
        Check.That(trip >= TimeSpan.FromMilliseconds(60), $"{trip}");
    }

    [Fact("path MTU discovery finds the datagram size of a network in memory", Timeout = 60)]
    public static async Task Sizes()
    {
        var network = new UtpMemoryNetwork { MaxDatagramSize = 1380 };
        await using var pair = await OpenAsync(network);
        await using var far = pair.Far;
        _ = far.CopyToAsync(Stream.Null);
        for (var round = 0; pair.Near.MaxPayload < 1350; round++)
        {
            Check.That(round < 1000, $"{pair.Near.MaxPayload}");
            await pair.Near.WriteAsync(new byte[20_000]).Within();
            await pair.Near.DrainAsync().Within();
        }

        Check.That(pair.Near.MaxPayload <= network.MaxDatagramSize - 20, $"{pair.Near.MaxPayload}");
    }

    [Fact("a stream over a network in memory that is cut fails, and one over a network that is joined again goes on")]
    public static async Task Cuts()
    {
        var network = new UtpMemoryNetwork();
        await using var pair = await OpenAsync(network, options => options.AcknowledgementTimeout = TimeSpan.FromSeconds(3));
        network.Passes = (_, _) => false;
        await pair.Near.WriteAsync(new byte[10]).Within();
        await Waiting.UntilAsync(() => network.DatagramsLost > 0);
        network.Passes = null;
        var heard = new byte[10];
        await pair.Far.ReadExactlyAsync(heard).Within();
        network.Passes = (from, _) => !from.Equals(pair.Server.LocalEndPoint);
        await pair.Near.WriteAsync(new byte[10]).Within();
        var error = await Check.ThrowsAsync<UtpException>(() => pair.Near.WritesClosed.Within());
        Check.Equal(UtpError.AcknowledgementTimeout, error.Error);
    }

    [Fact("peers meet and punch over a network in memory, also with a filter between them that lets pass only what was sent to before")]
    public static async Task Meets()
    {
        var network = new UtpMemoryNetwork();
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { TransportFactory = network.Bind });
        Check.Equal(server.LocalEndPoints.Count, 2);
        await using var one = await BindAsync(network);
        await using var other = await BindAsync(network);
        var sent = new System.Collections.Concurrent.ConcurrentDictionary<(IPEndPoint, IPEndPoint), bool>();
        network.Passes = (from, to) =>
        {
            sent[(from, to)] = true;
            return to.Address.Equals(server.LocalEndPoints[0].Address) || to.Address.Equals(server.LocalEndPoints[1].Address) || sent.ContainsKey((to, from));
        };
        var streams = await Task.WhenAll(new[] { one, other }.Select(node =>
            new UtpRendezvousClient(node, server.LocalEndPoints[0]).ConnectAsync("room", new UtpPunchOptions { Secret = "only we know" }).AsTask())).Within();
        await streams[0].WriteAsync(new byte[] { 7 }, completeWrites: true).Within();
        Waiting.Same([7], await streams[1].ReadToEndAsync());
        Check.That(streams.All(stream => stream.PathKind is not null));
    }

    [Fact("hosts of a network in memory have addresses of their own, and a port that is taken is refused as by a socket")]
    public static async Task AddressesInMemory()
    {
        var network = new UtpMemoryNetwork();
        await using var first = await BindAsync(network);
        await using var second = await BindAsync(network);
        await using var old = await BindAsync(network, options => options.LocalEndPoint = new IPEndPoint(IPAddress.Any, 0));
        Check.Equal("fd00::1 fd00::2 10.0.0.3", $"{first.LocalEndPoint.Address} {second.LocalEndPoint.Address} {old.LocalEndPoint.Address}");
        Check.That(first.Socket is null);
        var error = await Check.ThrowsAsync<SocketException>(
            () => BindAsync(network, options => options.LocalEndPoint = first.LocalEndPoint).AsTask());
        Check.Equal(SocketError.AddressAlreadyInUse, error.SocketErrorCode);
        var place = first.LocalEndPoint;
        await first.DisposeAsync();
        await using var again = await BindAsync(network, options => options.LocalEndPoint = place);
        Check.Equal(place, again.LocalEndPoint);
        var unreachable = await Check.ThrowsAsync<UtpException>(() => old.ConnectAsync(place).AsTask().Within());
        Check.Equal(UtpError.NetworkUnreachable, unreachable.Error);
    }

    [Fact("settings of a network in memory are checked")]
    public static void Checked()
    {
        var network = new UtpMemoryNetwork();
        Check.Throws<ArgumentOutOfRangeException>(() => network.LossRate = 1.1);
        Check.Throws<ArgumentOutOfRangeException>(() => network.LossRate = double.NaN);
        Check.Throws<ArgumentOutOfRangeException>(() => network.Latency = TimeSpan.FromSeconds(-1));
        Check.Throws<ArgumentOutOfRangeException>(() => network.MaxDatagramSize = 1199);
        Check.Throws<ArgumentNullException>(() => network.Bind(null!));
    }

    private static ValueTask<UtpNode> BindAsync(UtpMemoryNetwork network, Action<UtpNodeOptions>? configure = null)
    {
        var options = new UtpNodeOptions { TransportFactory = network.Bind };
        configure?.Invoke(options);
        return UtpNode.BindAsync(options);
    }

    private static Task<Pair> OpenAsync(UtpMemoryNetwork network, Action<UtpNodeOptions>? configure = null) => Pair.OpenAsync(options =>
    {
        options.LocalEndPoint = new IPEndPoint(IPAddress.IPv6Any, 0);
        options.TransportFactory = network.Bind;
        configure?.Invoke(options);
    });
}
