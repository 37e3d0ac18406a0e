using System.Net;

namespace UtpPunch.Tests;

/// <summary>What is done with a path that a punch has found, or not.</summary>
public static class PunchedPaths
{
    [Fact("a path serves one stream, and knows its peer")]
    public static async Task Once()
    {
        await using var meeting = await Meeting.OpenAsync();
        foreach (var path in meeting.Paths)
        {
            Check.Equal(UtpPathKind.Host, path.Kind);
            Check.That(path.RoundTripTime is null || path.RoundTripTime > TimeSpan.Zero, $"{path.RoundTripTime}");
        }

        Check.Equal(meeting.Two.LocalEndPoint, meeting.Paths[0].RemoteEndPoint);
        var streams = await Task.WhenAll(meeting.Paths.Select(path => path.OpenAsync().AsTask())).Within();
        Check.That(streams.All(stream => stream.PathKind == UtpPathKind.Host && stream.Dialect == UtpDialect.Bep29));
        foreach (var path in meeting.Paths)
        {
            await Check.ThrowsAsync<InvalidOperationException>(() => path.OpenAsync().AsTask());
            await path.DisposeAsync();
        }

        await streams[0].WriteAsync(new byte[] { 7 }).Within();
        Check.Equal(7, streams[1].ReadByte());
    }

    [Fact("of a path that is disposed, the peer learns at once: the stream that it opens is reset")]
    public static async Task Disposed()
    {
        await using var meeting = await Meeting.OpenAsync();
        var (awaited, dialled) = meeting.Paths[0].IsAwaited ? (meeting.Paths[0], meeting.Paths[1]) : (meeting.Paths[1], meeting.Paths[0]);
        await awaited.DisposeAsync();
        await Check.ThrowsAsync<ObjectDisposedException>(() => awaited.OpenAsync().AsTask());
        var stream = await dialled.OpenAsync().Within();
        var error = await Check.ThrowsAsync<UtpException>(() => stream.ReadAsync(new byte[1]).AsTask().Within());
        Check.Equal(UtpError.ConnectionReset, error.Error);
    }

    [Fact("a stream that was opened before its path is disposed is reset, too")]
    public static async Task DisposedLate()
    {
        await using var meeting = await Meeting.OpenAsync();
        var (awaited, dialled) = meeting.Paths[0].IsAwaited ? (meeting.Paths[0], meeting.Paths[1]) : (meeting.Paths[1], meeting.Paths[0]);
        var stream = await dialled.OpenAsync().Within();
        await stream.WriteAsync(new byte[1]).Within();
        await awaited.DisposeAsync();
        var error = await Check.ThrowsAsync<UtpException>(() => stream.ReadAsync(new byte[1]).AsTask().Within());
        Check.Equal(UtpError.ConnectionReset, error.Error);
    }

    [Fact("the exception of a meeting that fails has the result of the punch")]
    public static async Task Failed()
    {
        var network = new UtpMemoryNetwork();
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { TransportFactory = network.Bind });
        await using var one = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = network.Bind });
        await using var two = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = network.Bind });
        var ofServer = server.LocalEndPoints.Select(it => it.Address).ToHashSet();
        network.Passes = (from, to) => ofServer.Contains(from.Address) || ofServer.Contains(to.Address);
        var options = new UtpPunchOptions { PunchTimeout = TimeSpan.FromSeconds(1), Timeout = TimeSpan.FromSeconds(1) };
        var failures = await Task.WhenAll(new[] { one, two }.Select(node => Check.ThrowsAsync<UtpException>(
            () => new UtpRendezvousClient(node, server.LocalEndPoints[0]).ConnectAsync("room", options).AsTask().Within())));
        foreach (var failure in failures)
        {
            Check.Equal(UtpError.PunchFailed, failure.Error);
            Check.Equal(UtpPunchStage.NothingHeard, failure.Punch!.Stage);
            Check.That(failure.Punch.ProbesSent > 0 && failure.Punch.Path is null && !failure.Punch.Success);
            Check.Equal(failure.Message, failure.Punch.Explanation);
        }
    }

    [Fact("a node that claims host addresses tells its peer these, and no others")]
    public static async Task ClaimedAddresses()
    {
        var network = new UtpMemoryNetwork();
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { TransportFactory = network.Bind });
        var claimed = new List<IPAddress> { IPAddress.Parse("fd00::77") };
        await using var one = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = network.Bind, HostAddresses = claimed });
        claimed.Clear(); // Copied before.
        await using var two = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = network.Bind });
        var seen = 0;
        network.Passes = (from, to) =>
        {
            Interlocked.Add(ref seen, from.Equals(two.LocalEndPoint) && to.Address.Equals(IPAddress.Parse("fd00::77")) ? 1 : 0);
            return true;
        };
        var punches = await Task.WhenAll(new[] { one, two }.Select(node => new UtpRendezvousClient(node, server.LocalEndPoints[0]).PunchAsync(
            "room", new UtpPunchOptions { PrivateAddresses = UtpPrivateAddressPolicy.Always }).AsTask())).Within();
        Check.That(punches.All(punch => punch.Success));
        Check.That(Volatile.Read(ref seen) > 0);
        foreach (var wrong in new IReadOnlyList<IPAddress>[] { [null!], [IPAddress.Any, null!] })
        {
            Check.Equal("HostAddresses", Check.Throws<ArgumentException>(() => UtpNode.Bind(new UtpNodeOptions { HostAddresses = wrong })).ParamName);
        }
    }

    private sealed class Meeting : IAsyncDisposable
    {
        private readonly UtpRendezvousServer _server;

        private Meeting(UtpRendezvousServer server, UtpNode one, UtpNode two, UtpPunchedPath[] paths) =>
            (_server, One, Two, Paths) = (server, one, two, paths);

        public UtpNode One { get; }

        public UtpNode Two { get; }

        public UtpPunchedPath[] Paths { get; }

        public static async Task<Meeting> OpenAsync()
        {
            var loopback = new IPEndPoint(IPAddress.Loopback, 0);
            var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [loopback, loopback] });
            var nodes = new[] { await Pair.BindAsync(), await Pair.BindAsync() };
            var punches = await Task.WhenAll(nodes.Select(
                node => new UtpRendezvousClient(node, server.LocalEndPoints[0]).PunchAsync("room").AsTask())).Within();
            return new Meeting(server, nodes[0], nodes[1], [.. punches.Select(punch => punch.Path!)]);
        }

        public async ValueTask DisposeAsync()
        {
            One.Dispose();
            Two.Dispose();
            await _server.DisposeAsync();
        }
    }
}
