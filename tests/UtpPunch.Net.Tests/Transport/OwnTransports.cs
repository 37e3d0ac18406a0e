using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Transports of an application in place of a socket.</summary>
public static class OwnTransports
{
    private static readonly IPEndPoint s_loopback = new(IPAddress.Loopback, 0);

    [Fact("a node over a socket that is shared with another protocol talks to one over a socket of its own")]
    public static async Task Shared()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(s_loopback);
        var heard = new TaskCompletionSource<int>();
        await using var shared = await UtpNode.BindAsync(new UtpNodeOptions
        {
            TransportFactory = _ => new SharedSocket(socket, (datagram, _) => heard.TrySetResult(datagram.Length)),
        });
        await using var plain = await Pair.BindAsync();
        await using var listener = plain.Listen();
        await using var near = await shared.ConnectAsync(plain.LocalEndPoint).Within();
        await using var far = await listener.AcceptAsync().Within();
        var sent = Waiting.Bytes(500_000);
        var sending = near.WriteAsync(sent, completeWrites: true).AsTask();
        Waiting.Same(sent, await far.ReadToEndAsync());
        await sending.Within();
        await plain.SendDatagramAsync("Game"u8.ToArray(), shared.LocalEndPoint).Within();
        Check.Equal(4, await heard.Task.Within());
        await far.CloseAsync();
    }

    [Fact("a transport that fails with errors of sockets loses datagrams, and one without a route is reported")]
    public static async Task Errors()
    {
        using var factory = new OwnMeters();
        using var meter = new MeterReader(factory);
        var faults = new Faulty { Error = SocketError.NoBufferSpaceAvailable };
        await using var node = await UtpNode.BindAsync(new UtpNodeOptions
        {
            TransportFactory = _ => faults,
            ConnectTimeout = TimeSpan.FromMilliseconds(300),
            MeterFactory = factory,
        });
        var silent = await Check.ThrowsAsync<UtpException>(() => node.ConnectAsync(IPEndPoint.Parse("192.0.2.1:9")).AsTask().Within());
        Check.Equal(UtpError.ConnectTimeout, silent.Error);
        Check.That(node.GetStatistics().DatagramsDropped > 0);
        faults.Error = SocketError.NetworkUnreachable;
        var lost = await Check.ThrowsAsync<UtpException>(() => node.ConnectAsync(IPEndPoint.Parse("192.0.2.1:9")).AsTask().Within());
        Check.Equal(UtpError.NetworkUnreachable, lost.Error);
        faults.Error = (SocketError)12345;
        await Check.ThrowsAsync<UtpException>(() => node.SendDatagramAsync(new byte[100], IPEndPoint.Parse("192.0.2.1:9")).Within());
        await node.DisposeAsync();
        var drops = meter.Read().Where(one => one.Key.StartsWith("utp.packets.dropped error.type=", StringComparison.Ordinal)).ToDictionary();
        Check.Equal(node.GetStatistics().DatagramsDropped, drops.Values.Sum());
        Check.Equal("NetworkUnreachable NoBufferSpaceAvailable SocketError", string.Join(' ', drops.Keys.Select(key => key.Split('=')[1]).Order()));
        var tooLong = new Faulty { Error = SocketError.MessageSize };
        await using var other = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = _ => tooLong });
        var refused = await Check.ThrowsAsync<UtpException>(() => other.SendDatagramAsync(new byte[100], IPEndPoint.Parse("192.0.2.1:9")).Within());
        Check.Equal(UtpError.DatagramTooLong, refused.Error);
    }

    [Fact("a transport that throws something else ends its node, and the exception is the cause")]
    public static async Task Throws()
    {
        await using var node = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = _ => new Faulty() });
        var failure = await Check.ThrowsAsync<UtpException>(() => node.ConnectAsync(IPEndPoint.Parse("192.0.2.1:9")).AsTask().Within());
        Check.Equal(UtpError.InternalError, failure.Error);
        Check.That(failure.InnerException is FormatException);
    }

    [Fact("the node disposes its transport, and a transport that another node has, or none, is refused")]
    public static async Task Owned()
    {
        var transport = new Faulty();
        await using (await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = _ => transport }))
        {
            Check.That(!transport.IsDisposed);
            var twice = await Check.ThrowsAsync<InvalidOperationException>(
                () => UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = _ => transport }).AsTask());
            Check.That(twice.Message.Contains("another node", StringComparison.Ordinal), twice.Message);
        }

        Check.That(transport.IsDisposed);
        await Check.ThrowsAsync<InvalidOperationException>(() => UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = _ => null! }).AsTask());
        await Check.ThrowsAsync<FormatException>(() => UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = _ => throw new FormatException() }).AsTask());
    }

    [Fact("what a transport receives beyond the receive buffer is dropped, and the node goes on")]
    public static async Task Floods()
    {
        var transport = new Faulty { Error = SocketError.Success };
        await using var node = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = _ => transport, SocketReceiveBufferSize = 100_000 });
        using var held = new ManualResetEventSlim();
        var count = 0;
        node.DatagramHandler = (_, _, _) =>
        {
            held.Wait(TimeSpan.FromSeconds(20));
            Interlocked.Increment(ref count);
        };
        transport.Receive(new byte[1000]);
        for (var index = 0; index < 1000; index++)
        {
            transport.Receive(new byte[1000]);
        }

        held.Set();
        await Waiting.UntilAsync(() => Volatile.Read(ref count) > 10);
        transport.Receive([]);
        await Waiting.UntilAsync(() => node.GetStatistics().Lingering == 0 && Volatile.Read(ref count) >= 50);
        Check.That(Volatile.Read(ref count) <= 200, $"{count}");
    }

    private sealed class Faulty : UtpDatagramTransport
    {
        public SocketError? Error { get; set; }

        public bool IsDisposed { get; private set; }

        public override IPEndPoint LocalEndPoint { get; } = IPEndPoint.Parse("192.0.2.77:9000");

        public override void Send(ReadOnlySpan<byte> datagram, IPEndPoint remoteEndPoint, int hopLimit)
        {
            switch (Error)
            {
                case null: throw new FormatException("the mistake");
                case SocketError.Success: return;
                default: throw new SocketException((int)Error);
            }
        }

        public void Receive(ReadOnlySpan<byte> datagram) => OnReceived(datagram, IPEndPoint.Parse("192.0.2.1:9"));

        protected override void Dispose(bool disposing)
        {
            IsDisposed = true;
            base.Dispose(disposing);
        }
    }
}
