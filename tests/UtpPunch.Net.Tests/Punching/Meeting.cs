using System.Net;
using System.Net.Sockets;
using System.Text;

namespace UtpPunch.Tests;

/// <summary>Meeting at a rendezvous, punching, and the results.</summary>
public static class Meeting
{
    private static UtpRendezvousServer Serve(Action<UtpRendezvousServerOptions>? configure = null)
    {
        var loopback = new IPEndPoint(IPAddress.Loopback, 0);
        var options = new UtpRendezvousServerOptions { LocalEndPoints = [loopback, loopback], DatagramsPerSecondPerSource = 10_000 };
        configure?.Invoke(options);
        return UtpRendezvousServer.Bind(options);
    }

    [Fact("two nodes in one room get one stream, and bytes arrive both ways")]
    public static async Task OneCall()
    {
        await using var server = Serve();
        await using var one = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        var options = new UtpPunchOptions { Secret = "only we know" };
        var calls = new[] { one, other }
            .Select(node => new UtpRendezvousClient(node, server.LocalEndPoints[0]).ConnectAsync("room", options).AsTask()).ToArray();
        var streams = await Task.WhenAll(calls).Within();
        Check.Equal(1, streams.Count(stream => stream.IsIncoming));
        await streams[0].WriteAsync(Encoding.ASCII.GetBytes("ping")).Within();
        var heard = new byte[4];
        await streams[1].ReadExactlyAsync(heard).Within();
        await streams[1].WriteAsync(Encoding.ASCII.GetBytes("pong")).Within();
        await streams[0].ReadExactlyAsync(heard).Within();
        Check.Equal("pong", Encoding.ASCII.GetString(heard));
        await streams[0].DisposeAsync();
        await streams[1].DisposeAsync();
    }

    [Fact("a meeting reports the observed address, then the peer's, and then the result")]
    public static async Task Progress()
    {
        await using var server = Serve();
        await using var one = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        var news = new News<UtpPunchProgress>();
        var results = await Task.WhenAll(
            new UtpRendezvousClient(one, server.LocalEndPoints[0]).PunchAsync("room", new UtpPunchOptions { Progress = news }).AsTask(),
            new UtpRendezvousClient(other, server.LocalEndPoints[0]).PunchAsync("room").AsTask()).Within();
        Check.That(results.All(result => result.Success));
        var last = news.Heard[^1];
        Check.Equal(other.LocalEndPoint, last.PeerEndPoint);
        Check.Equal(2, news.Heard.Count);
        Check.Equal(one.LocalEndPoint, news.Heard[0].ObservedEndPoint);
        Check.Equal(UtpNatPortAssignment.EndpointIndependent, last.PortAssignment);
        Check.That(news.Heard[0].PeerEndPoint is null);
    }

    [Fact("a caller that has given up waiting for the peer's stream does not get it: the next one is the next meeting's")]
    public static async Task GivenUp()
    {
        await using var server = Serve();
        await using var one = await Pair.BindAsync(options => options.ConnectTimeout = TimeSpan.FromSeconds(2));
        await using var other = await Pair.BindAsync(options => options.ConnectTimeout = TimeSpan.FromSeconds(2));
        var first = await PunchAsync();
        using var cancellation = new CancellationTokenSource();
        var waiting = first.Awaited.OpenAsync(cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => waiting.Within());
        var stray = await first.Dialled.OpenAsync().Within();
        var error = await Check.ThrowsAsync<UtpException>(() => stray.ReadAsync(new byte[1]).Within());
        Check.Equal(UtpError.ConnectionReset, error.Error);
        var second = await PunchAsync();
        var streams = await Task.WhenAll(
            second.Awaited.OpenAsync().AsTask(), second.Dialled.OpenAsync().AsTask()).Within();
        await streams[1].WriteAsync(new byte[] { 7 }).Within();
        Check.Equal(7, streams[0].ReadByte());
        streams[0].Abort();

        async Task<(UtpPunchedPath Awaited, UtpPunchedPath Dialled)> PunchAsync()
        {
            var results = await Task.WhenAll(
                new UtpRendezvousClient(one, server.LocalEndPoints[0]).PunchAsync("room").AsTask(),
                new UtpRendezvousClient(other, server.LocalEndPoints[0]).PunchAsync("room").AsTask()).Within();
            var (mine, theirs) = (results[0].Path!, results[1].Path!);
            return mine.IsAwaited ? (mine, theirs) : (theirs, mine);
        }
    }

    [Fact("over IPv6 the results are the same")]
    public static async Task IPv6()
    {
        Skip.Unless(Socket.OSSupportsIPv6, "this machine has no IPv6");
        var loopback = new IPEndPoint(IPAddress.IPv6Loopback, 0);
        await using var server = Serve(options => options.LocalEndPoints = [loopback, loopback]);
        await using var one = await Pair.BindAsync(options => options.LocalEndPoint = loopback);
        await using var other = await Pair.BindAsync(options => options.LocalEndPoint = loopback);
        var streams = await Task.WhenAll(new[] { one, other }
            .Select(node => new UtpRendezvousClient(node, server.LocalEndPoints[0]).ConnectAsync("room").AsTask())).Within();
        await streams[0].WriteAsync(new byte[] { 6 }).Within();
        Check.Equal(6, streams[1].ReadByte());
        streams[0].Abort();
    }

    [Fact("peers with different secrets are in different rooms, and do not meet")]
    public static async Task AnotherSecret()
    {
        await using var server = Serve();
        await using var one = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        var results = await Task.WhenAll(
            Punch(one, new UtpPunchOptions { Secret = "a", Timeout = TimeSpan.FromSeconds(1) }),
            Punch(other, new UtpPunchOptions { Secret = "b", Timeout = TimeSpan.FromSeconds(1) })).Within();
        foreach (var result in results)
        {
            Check.Equal(UtpPunchStage.NoPeer, result.Stage);
            Check.Equal(UtpNatPortAssignment.EndpointIndependent, result.PortAssignment);
        }

        Task<UtpPunchResult> Punch(UtpNode node, UtpPunchOptions options) =>
            new UtpRendezvousClient(node, server.LocalEndPoints[0]).PunchAsync("room", options).AsTask();
    }

    [Fact("an absent server is reported as the reason")]
    public static async Task NoServer()
    {
        await using var gone = Serve();
        var address = gone.LocalEndPoints[0];
        await gone.DisposeAsync();
        await using var node = await Pair.BindAsync();
        var error = await Check.ThrowsAsync<UtpException>(() => new UtpRendezvousClient(node, address)
            .ConnectAsync("room", new UtpPunchOptions { Timeout = TimeSpan.FromSeconds(1) }).AsTask().Within());
        Check.Equal(UtpError.RendezvousUnreachable, error.Error);
    }

    [Fact("the node that would be one too many in a room learns that, and the others stay and are met")]
    public static async Task FullRoom()
    {
        await using var server = Serve(options => options.MaxRegistrationsPerRoom = 1);
        await using var one = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        await using var visitor = await Pair.BindAsync();
        using var leave = new CancellationTokenSource();
        var met = StayAsync(one);
        await Waiting.UntilAsync(() => server.GetStatistics().WaitingPeers == 1);
        var error = await Check.ThrowsAsync<UtpException>(() => StayAsync(other).Within());
        Check.Equal(UtpError.RoomFull, error.Error);
        Check.That(error.Message.Contains("The room has as many peers", StringComparison.Ordinal));
        using var stream = await new UtpRendezvousClient(visitor, server.LocalEndPoints[0]).ConnectAsync("service").Within();
        Check.Equal(visitor.LocalEndPoint, (await met.Within()).RemoteEndPoint);
        await leave.CancelAsync();

        async Task<UtpStream> StayAsync(UtpNode node)
        {
            await foreach (var accepted in new UtpRendezvousClient(node, server.LocalEndPoints[0]).AcceptAllAsync("service", null, leave.Token))
            {
                return accepted;
            }

            throw new InvalidOperationException("There was no stream.");
        }
    }

    [Fact("many pairs meet at one server at the same time, each peer with its own")]
    public static async Task ManyPairs()
    {
        const int Pairs = 20;
        await using var server = Serve();
        var nodes = new List<UtpNode>();
        try
        {
            var calls = new List<Task<UtpStream>>();
            for (var index = 0; index < 2 * Pairs; index++)
            {
                var node = await Pair.BindAsync();
                nodes.Add(node);
                calls.Add(new UtpRendezvousClient(node, server.LocalEndPoints[0]).ConnectAsync($"room {index / 2}").AsTask());
            }

            var streams = await Task.WhenAll(calls).Within();
            for (var index = 0; index < Pairs; index++)
            {
                await streams[2 * index].WriteAsync(new[] { (byte)index }).Within();
                Check.Equal(index, streams[2 * index + 1].ReadByte());
            }

            Check.Equal((long)Pairs, server.GetStatistics().TotalIntroductions);
        }
        finally
        {
            nodes.ForEach(node => node.Dispose());
        }
    }

    [Fact("a node that stays in a room gets a stream with every peer that enters, until it leaves")]
    public static async Task Stays()
    {
        const int Peers = 5;
        await using var server = Serve();
        await using var host = await Pair.BindAsync();
        using var leave = new CancellationTokenSource();
        var met = new List<UtpStream>();
        var hosting = Task.Run(async () =>
        {
            await foreach (var stream in new UtpRendezvousClient(host, server.LocalEndPoints[0]).AcceptAllAsync("service", null, leave.Token))
            {
                var name = new byte[1];
                await stream.ReadExactlyAsync(name);
                await stream.WriteAsync(name);
                met.Add(stream);
            }
        });
        for (var index = 0; index < Peers; index++)
        {
            using var node = await Pair.BindAsync(); // Does not wait for the host to end its side.
            await using var stream = await new UtpRendezvousClient(node, server.LocalEndPoints[0]).ConnectAsync("service").Within();
            await stream.WriteAsync(new[] { (byte)index }).Within();
            Check.Equal(index, stream.ReadByte());
        }

        await leave.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => hosting.Within());
        Check.Equal(Peers, met.Count);
        await Waiting.UntilAsync(() => server.GetStatistics().WaitingPeers == 0);
        met.ForEach(stream => stream.Abort());
    }

    [Fact("two nodes punch as the npm package does")]
    public static async Task Legacy()
    {
        await using var one = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        var results = await Task.WhenAll(
            one.PunchNpmAsync(other.LocalEndPoint).AsTask(), other.PunchNpmAsync(one.LocalEndPoint).AsTask()).Within();
        Check.That(results.All(result => result.Success));
    }

    [Fact("a punch without an answer reports the reason, and a cancelled one ends at once")]
    public static async Task LegacyFailure()
    {
        await using var node = await Pair.BindAsync();
        await using var silent = await Pair.BindAsync();
        var result = await node.PunchNpmAsync(silent.LocalEndPoint, attempts: 1).Within();
        Check.Equal(UtpPunchStage.NothingHeard, result.Stage);
        using var cancel = new CancellationTokenSource();
        var punch = node.PunchNpmAsync(silent.LocalEndPoint, 100, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => punch.Within());
    }

    /// <summary>Hears at once, unlike <see cref="Progress{T}"/>, which would hear later than the result.</summary>
    private sealed class News<T> : IProgress<T>
    {
        public List<T> Heard { get; } = [];

        public void Report(T value) => Heard.Add(value);
    }
}
