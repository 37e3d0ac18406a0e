using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Failures, each of which has its own error.</summary>
public static class Failures
{
    [Fact("a port that is taken throws the socket's own exception")]
    public static async Task PortInUse()
    {
        await using var first = await Pair.BindAsync();
        var error = await Check.ThrowsAsync<SocketException>(() => UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = first.LocalEndPoint }).AsTask());
        Check.Equal(SocketError.AddressAlreadyInUse, error.SocketErrorCode);
        Check.Throws<SocketException>(() => UtpNode.Bind(first.LocalEndPoint));
    }

    [Fact("an address of another machine throws the socket's own exception")]
    public static void ForeignAddress()
    {
        var error = Check.Throws<SocketException>(() => UtpNode.Bind(new IPEndPoint(IPAddress.Parse("192.0.2.1"), 0)));
        Check.Equal(SocketError.AddressNotAvailable, error.SocketErrorCode);
    }

    [Fact("a node that does not listen refuses")]
    public static async Task Refused()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var error = await Check.ThrowsAsync<UtpException>(() => client.ConnectAsync(server.LocalEndPoint).Within());
        Check.Equal(UtpError.ConnectionRefused, error.Error);
        Check.Equal(SocketError.ConnectionRefused, error.SocketError!.Value);
        Check.Equal(SocketError.ConnectionRefused, ((SocketException)error.InnerException!).SocketErrorCode);
        Check.Equal(server.LocalEndPoint, error.RemoteEndPoint!);
        Check.That(error.Message.Contains(server.LocalEndPoint.ToString(), StringComparison.Ordinal), error.Message);
    }

    [Fact("a port without a socket refuses, after the second SYN", Over = TransportUnderTest.Linux)]
    public static async Task ClosedPort()
    {
        foreach (var loopback in new[] { IPAddress.Loopback, IPAddress.IPv6Loopback })
        {
            IPEndPoint closed;
            using (var socket = new Socket(loopback.AddressFamily, SocketType.Dgram, ProtocolType.Udp))
            {
                socket.Bind(new IPEndPoint(loopback, 0));
                closed = (IPEndPoint)socket.LocalEndPoint!;
            }

            await using var client = await Pair.BindAsync(options =>
            {
                options.LocalEndPoint = new IPEndPoint(loopback, 0);
                options.ConnectTimeout = TimeSpan.FromMinutes(5);
            });
            var error = await Check.ThrowsAsync<UtpException>(() => client.ConnectAsync(closed).Within());
            Check.Equal(UtpError.ConnectionRefused, error.Error);
            Check.Equal(0, client.GetStatistics().OutgoingConnections);
        }
    }

    [Fact("the statistics of a stream whose node has failed are the last ones")]
    public static async Task StatisticsOfFailed()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Near.WriteAsync(new byte[1000]);
        await pair.Far.ReadExactlyAsync(new byte[1000]).AsTask().Within();
        await Waiting.UntilAsync(() => pair.Near.GetStatistics().BytesAcknowledged == 1000);
        pair.Client.Socket!.Dispose();
        await Check.ThrowsAsync<UtpException>(() => pair.Near.Closed.Within());
        Check.Equal(1000L, pair.Near.GetStatistics().BytesAcknowledged);
        Check.That(pair.Near.GetStatistics().Phase.Length > 0);
        Check.Equal("", default(UtpStreamStatistics).Phase);
    }

    [Fact("a peer that never answers gives a time-out, by the node's options or the connect's")]
    public static async Task NobodyAnswers()
    {
        using var mute = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        mute.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var client = await Pair.BindAsync(options => options.ConnectTimeout = TimeSpan.FromMilliseconds(200));
        var error = await Check.ThrowsAsync<UtpException>(() => client.ConnectAsync(mute.LocalEndPoint!).Within());
        Check.Equal(UtpError.ConnectTimeout, error.Error);
        await using var dialler = await Pair.BindAsync();
        error = await Check.ThrowsAsync<UtpException>(
            () => dialler.ConnectAsync(mute.LocalEndPoint!, new UtpConnectOptions { Timeout = TimeSpan.FromMilliseconds(200) }).Within());
        Check.Equal(UtpError.ConnectTimeout, error.Error);
        Check.Equal(SocketError.TimedOut, error.SocketError!.Value);
        Check.Equal(0, client.GetStatistics().OutgoingConnections);
    }

    [Fact("dialling can be cancelled, and leaves nothing behind")]
    public static async Task ConnectCancelled()
    {
        using var mute = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        mute.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var client = await Pair.BindAsync();
        using var source = new CancellationTokenSource();
        var connecting = client.ConnectAsync(mute.LocalEndPoint!, null, source.Token).AsTask();
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 1);
        await source.CancelAsync();
        var error = await Check.ThrowsAsync<OperationCanceledException>(() => connecting.Within());
        Check.Equal(source.Token, error.CancellationToken);
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 0);
        Check.That(client.ConnectAsync(mute.LocalEndPoint!, null, new CancellationToken(true)).IsCanceled);
    }

    [Fact("without a route a connect fails after a second try; where the node's socket cannot have one, at once")]
    public static async Task NoWay()
    {
        await using var four = await Pair.BindAsync();
        var error = await Check.ThrowsAsync<UtpException>(() => four.ConnectAsync(new IPEndPoint(IPAddress.IPv6Loopback, 1)).Within());
        Check.Equal(UtpError.NetworkUnreachable, error.Error);
        await using var six = await Pair.BindAsync(options => options.LocalEndPoint = new IPEndPoint(IPAddress.IPv6Loopback, 0));
        error = await Check.ThrowsAsync<UtpException>(() => six.ConnectAsync(new IPEndPoint(IPAddress.Parse("192.0.2.1"), 1)).Within());
        Check.Equal(UtpError.NetworkUnreachable, error.Error);
        Check.Equal(2L, six.GetStatistics().DatagramsDropped);
    }

    [Fact("a connect survives a moment without a route")]
    public static async Task RouteComesBack()
    {
        await using var server = await Pair.BindAsync();
        await using var listener = server.Listen();
        var socket = SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 1 << 20, 1 << 20);
        UtpNode? node = null;
        var transport = new ManagedTransport([socket], saysNextLength: true, (datagram, target) =>
        {
            if (node!.GetStatistics().DatagramsDropped == 0)
            {
                throw new SocketException((int)SocketError.NetworkUnreachable);
            }

            socket.SendTo(datagram, SocketFlags.None, target);
        });
        await using var client = node = UtpNode.Over(transport, UtpNodeOptionsCheck.Freeze(new UtpNodeOptions()));
        await using var near = await client.ConnectAsync(server.LocalEndPoint).Within();
        await using var far = await listener.AcceptAsync().Within();
        Check.Equal(1L, client.GetStatistics().DatagramsDropped);
    }

    [Fact("a time-out that the platform's timers do not take, and an empty secret, throw an ArgumentException")]
    public static async Task UnusableOptions()
    {
        var tooLong = TimeSpan.FromDays(50);
        await using var node = await Pair.BindAsync();
        Check.Equal("ConnectTimeout", Check.Throws<ArgumentOutOfRangeException>(() => UtpNode.Bind(new UtpNodeOptions { ConnectTimeout = tooLong })).ParamName!);
        Check.Equal("Timeout", Check.Throws<ArgumentOutOfRangeException>(() => _ = node.ConnectAsync("localhost", 9, new UtpConnectOptions { Timeout = tooLong })).ParamName!);
        var client = new UtpRendezvousClient(node, new IPEndPoint(IPAddress.Loopback, 9));
        var error = await Check.ThrowsAsync<ArgumentException>(() => client.ConnectAsync("room", new UtpPunchOptions { Secret = "" }).AsTask());
        Check.Equal("Secret", error.ParamName!);
    }

    [Fact("an end point that cannot be dialled throws an ArgumentException")]
    public static async Task UndiallableEndPoints()
    {
        await using var node = await Pair.BindAsync();
        Check.Throws<ArgumentNullException>(() => _ = node.ConnectAsync((EndPoint)null!));
        Check.Throws<ArgumentException>(() => _ = node.ConnectAsync(new IPEndPoint(IPAddress.Loopback, 0)));
        Check.Throws<ArgumentException>(() => _ = node.ConnectAsync(new UnixDomainSocketEndPoint("/tmp/x")));
        Check.Throws<ArgumentException>(() => _ = node.ConnectAsync("host", 0));
        Check.Throws<ArgumentOutOfRangeException>(() => _ = node.ConnectAsync("host", 70_000));
        Check.Throws<ArgumentOutOfRangeException>(
            () => _ = node.ConnectAsync(node.LocalEndPoint, new UtpConnectOptions { Timeout = TimeSpan.Zero }));
        Check.Throws<ArgumentOutOfRangeException>(
            () => _ = node.ConnectAsync(node.LocalEndPoint, new UtpConnectOptions { Dialect = (UtpDialect)7 }));
    }

    [Fact("a name without an address is an error of its own")]
    public static async Task UnknownName()
    {
        await using var node = await Pair.BindAsync();
        var error = await Check.ThrowsAsync<UtpException>(() => node.ConnectAsync("nowhere.invalid", 1).Within());
        Check.Equal(UtpError.HostNotFound, error.Error);
    }

    [Fact("a name is dialled at any of its addresses that answers")]
    public static async Task Name()
    {
        await using var server = await Pair.BindAsync();
        var listener = server.Listen();
        await using var client = await UtpNode.BindAsync();
        var near = await client.ConnectAsync("localhost", server.LocalEndPoint.Port).Within();
        var far = await listener.AcceptAsync().Within();
        Check.Equal(server.LocalEndPoint, near.RemoteEndPoint);
        await near.WriteAsync(new byte[1], completeWrites: true).Within();
        Check.Equal(1, (await far.ReadToEndAsync()).Length);
        near = await client.ConnectAsync("127.0.0.1", server.LocalEndPoint.Port).Within();
        Check.Equal(server.LocalEndPoint, near.RemoteEndPoint);
        client.Dispose();
        server.Dispose();
    }

    [Fact("all members of a closed node throw")]
    public static async Task ClosedNode()
    {
        var node = await Pair.BindAsync();
        var somewhere = node.LocalEndPoint;
        await node.DisposeAsync().Within();
        Check.Throws<ObjectDisposedException>(() => _ = node.ConnectAsync(somewhere));
        Check.Throws<ObjectDisposedException>(() => node.Listen());
        Check.Throws<ObjectDisposedException>(() => _ = node.SendDatagramAsync(new byte[1], somewhere));
        _ = node.GetStatistics();
        await node.CloseAsync(TimeSpan.FromSeconds(1)).Within();
        await node.DisposeAsync().Within();
        node.Dispose();
    }

    [Fact("invalid options throw with their names")]
    public static async Task WrongOptions()
    {
        await Refused(nameof(UtpNodeOptions.LocalEndPoint), options => options.LocalEndPoint = null!);
        await Refused(nameof(UtpNodeOptions.Dialect), options => options.Dialect = (UtpDialect)9);
        await Refused(nameof(UtpNodeOptions.MaxConnections), options => options.MaxConnections = 0);
        await Refused(nameof(UtpNodeOptions.MaxHalfOpen), options => options.MaxHalfOpen = -1);
        await Refused(nameof(UtpNodeOptions.SendBufferSize), options => options.SendBufferSize = 1000);
        await Refused(nameof(UtpNodeOptions.ReceiveBufferSize), options => options.ReceiveBufferSize = int.MaxValue);
        await Refused(nameof(UtpNodeOptions.MaxSendBufferSize), options => options.MaxSendBufferSize = 1000);
        await Refused(nameof(UtpNodeOptions.MaxReceiveBufferSize), options => options.MaxReceiveBufferSize = int.MaxValue);
        await Refused(nameof(UtpNodeOptions.PacketSize), options => options.PacketSize = 20);
        await Refused(nameof(UtpNodeOptions.PacketSize), options => options.PacketSize = 300_000);
        await Refused(nameof(UtpNodeOptions.PacketWindow), options => options.PacketWindow = 0);
        await Refused(nameof(UtpNodeOptions.ConnectTimeout), options => options.ConnectTimeout = TimeSpan.Zero);
        await Refused(nameof(UtpNodeOptions.IdleTimeout), options => options.IdleTimeout = TimeSpan.FromSeconds(-3));
        await Refused(nameof(UtpNodeOptions.AcknowledgementTimeout), options => options.AcknowledgementTimeout = TimeSpan.Zero);
        await Refused(nameof(UtpNodeOptions.AcknowledgementTimeout), options => options.AcknowledgementTimeout = TimeSpan.FromMicroseconds(999));
        await Refused(nameof(UtpNodeOptions.LingerTimeout), options => options.LingerTimeout = TimeSpan.FromSeconds(-1));
        await Refused(nameof(UtpNodeOptions.ShutdownTimeout), options => options.ShutdownTimeout = TimeSpan.MinValue);
        await Refused(nameof(UtpNodeOptions.KeepAliveInterval), options => options.KeepAliveInterval = TimeSpan.Zero);
        await Refused(nameof(UtpNodeOptions.InitialRetransmitTimeout), options => options.InitialRetransmitTimeout = Timeout.InfiniteTimeSpan);
        await Refused(nameof(UtpNodeOptions.TargetDelay), options => options.TargetDelay = TimeSpan.Zero);
        await Refused(nameof(UtpNodeOptions.TargetDelay), options => options.TargetDelay = TimeSpan.FromMilliseconds(101));
        await Refused(nameof(UtpNodeOptions.MinRetransmitTimeout), options => options.MinRetransmitTimeout = TimeSpan.Zero);
        await Refused(nameof(UtpNodeOptions.SocketReceiveBufferSize), options => options.SocketReceiveBufferSize = 0);
        await Refused(nameof(UtpNodeOptions.SocketSendBufferSize), options => options.SocketSendBufferSize = -1);
        await Refused(nameof(UtpNodeOptions.Dscp), options => options.Dscp = 64);
        await Refused(nameof(UtpNodeOptions.Dscp), options => options.Dscp = -1);
        await using var node = await Pair.BindAsync();
        Check.Throws<ArgumentOutOfRangeException>(() => node.Listen(new UtpListenOptions { Backlog = 0 }));
        await Check.ThrowsAsync<ArgumentOutOfRangeException>(() => node.CloseAsync(TimeSpan.FromSeconds(-2)).AsTask());

        static async Task Refused(string name, Action<UtpNodeOptions> change)
        {
            var error = await Check.ThrowsAsync<ArgumentException>(async () => (await Pair.BindAsync(change)).Dispose());
            Check.Equal(name, error.ParamName);
        }
    }

    [Fact("time-outs may be infinite where that is documented")]
    public static async Task InfiniteTimeouts()
    {
        await using var pair = await Pair.OpenAsync(options =>
            options.IdleTimeout = options.AcknowledgementTimeout = options.LingerTimeout = options.ShutdownTimeout = options.KeepAliveInterval =
                Timeout.InfiniteTimeSpan);
        Check.Equal(Timeout.InfiniteTimeSpan, pair.Near.IdleTimeout);
        await pair.Near.WriteAsync(new byte[1000], completeWrites: true).Within();
        Check.Equal(1000, (await pair.Far.ReadToEndAsync()).Length);
        await pair.Near.DisposeAsync().Within();
    }

    [Fact("a peer that falls silent is given up after the idle time-out, which a stream can change")]
    public static async Task Idle()
    {
        await using var pair = await Pair.OpenAsync(options => options.KeepAliveInterval = TimeSpan.FromMinutes(1));
        pair.Near.IdleTimeout = TimeSpan.FromMilliseconds(300);
        Check.Equal(TimeSpan.FromMilliseconds(300), pair.Near.IdleTimeout);
        var error = await Check.ThrowsAsync<UtpException>(() => pair.Near.ReadAsync(new byte[1]).Within());
        Check.Equal(UtpError.IdleTimeout, error.Error);
    }

    [Fact("keep-alives keep a stream without data alive beyond its idle time-out")]
    public static async Task KeptAlive()
    {
        const int Count = 20;
        var interval = TimeSpan.FromMilliseconds(200);
        var options = (UtpNodeOptions own) =>
        {
            own.KeepAliveInterval = interval;
            own.IdleTimeout = 6 * interval;
        };
        await using var server = await Pair.BindAsync(options);
        using var relay = new UdpRelay(server.LocalEndPoint);
        await using var client = await Pair.BindAsync(options);
        var accepting = server.Listen().AcceptAsync().AsTask();
        var near = await client.ConnectAsync(relay.EndPoint).Within();
        var far = await accepting.Within();
        var started = Stopwatch.GetTimestamp();
        var before = (relay.Counts(RelayDirection.ToTarget).Forwarded, relay.Counts(RelayDirection.ToClient).Forwarded);
        await Waiting.UntilAsync(() => client.GetRuleCounts()["KeepAlive"] >= Count && server.GetRuleCounts()["KeepAlive"] >= Count);
        var elapsed = Stopwatch.GetElapsedTime(started);
        Check.That(elapsed > 3 * near.IdleTimeout, $"each waits for its interval: {elapsed}");
        Check.That(elapsed < 2 * Count * interval, $"none is late: {elapsed}");
        foreach (var (direction, count) in new[] { (RelayDirection.ToTarget, before.Item1), (RelayDirection.ToClient, before.Item2) })
        {
            // A dialler confirms up to five times more that it has received the SYN-ACK.
            var sent = relay.Counts(direction).Forwarded - count;
            Check.That(sent <= (elapsed / interval) + 6, $"{sent} packets {direction} in {elapsed}: keep-alives are not answered");
        }

        await Waiting.UntilAsync(() => relay.Counts(RelayDirection.ToTarget).Forwarded >= before.Item1 + Count
            && relay.Counts(RelayDirection.ToClient).Forwarded >= before.Item2 + Count);
        Check.That(!near.Closed.IsCompleted && !far.Closed.IsCompleted);
        await near.WriteAsync(new byte[] { 7 }, completeWrites: true).Within();
        await far.WriteAsync(new byte[] { 8 }, completeWrites: true).Within();
        Waiting.Same([7], await far.ReadToEndAsync());
        Waiting.Same([8], await near.ReadToEndAsync());
    }

    [Fact("a give-up time that is shorter than the path still lets an answer come, and ends a stream soon when none does")]
    public static async Task GivesUpSoon()
    {
        var rto = TimeSpan.FromMilliseconds(200);
        var options = (UtpNodeOptions own) =>
        {
            own.AcknowledgementTimeout = TimeSpan.FromMilliseconds(1);
            own.InitialRetransmitTimeout = own.MinRetransmitTimeout = rto;
        };
        await using var server = await Pair.BindAsync(options);
        using var relay = UdpRelay.Symmetric(server.LocalEndPoint, new RelayPath { Delay = TimeSpan.FromMilliseconds(20) });
        await using var client = await Pair.BindAsync(options);
        var accepting = server.Listen().AcceptAsync().AsTask();
        var near = await client.ConnectAsync(relay.EndPoint).Within();
        var far = await accepting.Within();
        var sent = Waiting.Bytes(200_000);
        var reading = far.ReadToEndAsync();
        await near.WriteAsync(sent, completeWrites: true).Within();
        Waiting.Same(sent, await reading);
        await near.WritesClosed.Within(); // Otherwise it is this end that waits in vain, and resets the stream.
        relay.ToClient = new RelayPath { Loss = 1 };
        var started = Stopwatch.GetTimestamp();
        await far.WriteAsync(new byte[10]).Within();
        var error = await Check.ThrowsAsync<UtpException>(() => far.Closed.Within());
        var elapsed = Stopwatch.GetElapsedTime(started);
        Check.Equal(UtpError.AcknowledgementTimeout, error.Error);
        Check.That(elapsed > 2 * rto, $"it was retransmitted, and that had time to be answered: {elapsed}");
        Check.That(elapsed < TimeSpan.FromSeconds(5), $"{elapsed}");
        client.Dispose();
    }

    [Fact("a peer that vanished is given up when nothing is acknowledged")]
    public static async Task Vanished()
    {
        await using var server = await Pair.BindAsync();
        using var relay = new UdpRelay(server.LocalEndPoint);
        await using var client = await Pair.BindAsync(options => options.AcknowledgementTimeout = TimeSpan.FromMilliseconds(700));
        var listener = server.Listen();
        var stream = await client.ConnectAsync(relay.EndPoint).Within();
        relay.ToTarget = new RelayPath { Loss = 1 };
        await stream.WriteAsync(new byte[10]).Within();
        var error = await Check.ThrowsAsync<UtpException>(() => stream.ReadAsync(new byte[1]).Within());
        Check.Equal(UtpError.AcknowledgementTimeout, error.Error);
        Check.Equal(relay.EndPoint, error.RemoteEndPoint!);
        await listener.DisposeAsync();
        server.Dispose();
    }

    [Fact("no more streams than the node may have")]
    public static async Task TooMany()
    {
        await using var server = await Pair.BindAsync();
        _ = server.Listen();
        await using var client = await Pair.BindAsync(options => options.MaxConnections = 2);
        await client.ConnectAsync(server.LocalEndPoint).Within();
        await client.ConnectAsync(server.LocalEndPoint).Within();
        var error = await Check.ThrowsAsync<UtpException>(() => client.ConnectAsync(server.LocalEndPoint).Within());
        Check.Equal(UtpError.TooManyConnections, error.Error);
        Check.Equal(2, client.GetStatistics().OutgoingConnections);
        client.Dispose();
        server.Dispose();
    }

    [Fact("a node whose socket is taken away fails, and so do all calls")]
    public static async Task SocketTakenAway()
    {
        await using var pair = await Pair.OpenAsync();
        var reading = pair.Near.ReadAsync(new byte[1]).AsTask();
        var accepting = pair.Listener.AcceptAsync().AsTask();
        pair.Client.Socket!.Dispose();
        pair.Server.Socket!.Dispose();
        await pair.Near.WriteAsync(new byte[1]).AsTask().ContinueWith(_ => { }).Within();
        await pair.Far.WriteAsync(new byte[1]).AsTask().ContinueWith(_ => { }).Within();
        Check.Equal(UtpError.InternalError, (await Check.ThrowsAsync<UtpException>(() => reading.Within())).Error);
        Check.Equal(UtpError.InternalError, (await Check.ThrowsAsync<UtpException>(() => accepting.Within())).Error);
        await Check.ThrowsAsync<UtpException>(() => pair.Client.Completion.Within());
        Check.Throws<UtpException>(() => _ = pair.Client.ConnectAsync(pair.Server.LocalEndPoint));
        await pair.Client.DisposeAsync().Within();
    }
}
