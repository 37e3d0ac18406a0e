using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace UtpPunch.Tests;

/// <summary>Datagrams that are not uTP, on the same port.</summary>
public static class ForeignDatagrams
{
    [Fact("a datagram that is not uTP goes to the handler, with its sender, and answers come from the same port")]
    public static async Task Passes()
    {
        await using var node = await Pair.BindAsync();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var heard = Channel.CreateUnbounded<(byte[] Bytes, IPEndPoint From, UtpNode Node)>();
        node.DatagramHandler = (datagram, from, self) => heard.Writer.TryWrite((datagram.ToArray(), from, self));
        foreach (var sent in new byte[][] { [], [1], "d1:ad2:id20:"u8.ToArray(), new byte[1400], new byte[65507] })
        {
            await socket.SendToAsync(sent, node.LocalEndPoint);
            var (bytes, from, self) = await heard.Reader.ReadAsync().Within();
            Waiting.Same(sent, bytes);
            Check.Equal((IPEndPoint)socket.LocalEndPoint!, from);
            Check.That(ReferenceEquals(self, node));
        }

        await node.SendDatagramAsync("answer"u8.ToArray(), (IPEndPoint)socket.LocalEndPoint!).Within();
        var buffer = new byte[100];
        var answer = await socket.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0)).Within();
        Check.Equal(6, answer.ReceivedBytes);
        Check.Equal(node.LocalEndPoint, (IPEndPoint)answer.RemoteEndPoint);
    }

    [Fact("a handler that throws, or none, harms no stream")]
    public static async Task HandlerThrows()
    {
        await using var pair = await Pair.OpenAsync();
        var count = 0;
        pair.Server.DatagramHandler = (_, _, _) =>
        {
            Interlocked.Increment(ref count);
            throw new InvalidOperationException("mine");
        };
        await pair.Client.SendDatagramAsync(new byte[3], pair.Server.LocalEndPoint).Within();
        await pair.Client.SendDatagramAsync(new byte[3], pair.Server.LocalEndPoint).Within();
        await Waiting.UntilAsync(() => Volatile.Read(ref count) == 2);
        pair.Server.DatagramHandler = null;
        await pair.Client.SendDatagramAsync(new byte[3], pair.Server.LocalEndPoint).Within();
        await pair.Near.WriteAsync(new byte[] { 1 }).Within();
        Check.Equal(1, pair.Far.ReadByte());
        Check.Equal(2, count);
    }

    [Fact("foreign datagrams and streams do not affect each other")]
    public static async Task Mixed()
    {
        await using var pair = await Pair.OpenAsync();
        var heard = 0;
        pair.Server.DatagramHandler = (datagram, _, _) => Interlocked.Add(ref heard, datagram.Length);
        var sent = Waiting.Bytes(1_000_000);
        var writing = pair.Near.WriteAsync(sent, completeWrites: true).AsTask();
        var reading = pair.Far.ReadToEndAsync();
        var total = 0;
        for (var length = 1; length < 60; length++)
        {
            total += length;
            await pair.Client.SendDatagramAsync(new byte[length], pair.Server.LocalEndPoint).Within();
        }

        await writing.Within();
        Waiting.Same(sent, await reading);
        await Waiting.UntilAsync(() => Volatile.Read(ref heard) == total);
    }

    [Fact("a datagram that cannot be sent throws the reason")]
    public static async Task Refused()
    {
        await using var node = await Pair.BindAsync();
        Check.Throws<ArgumentException>(() => _ = node.SendDatagramAsync(new byte[65508], node.LocalEndPoint));
        Check.Throws<ArgumentException>(() => _ = node.SendDatagramAsync(new byte[1], new IPEndPoint(IPAddress.Loopback, 0)));
        Check.Throws<ArgumentNullException>(() => _ = node.SendDatagramAsync(new byte[1], null!));
        Check.That(node.SendDatagramAsync(new byte[1], node.LocalEndPoint, new CancellationToken(true)).IsCanceled);
        var error = await Check.ThrowsAsync<UtpException>(
            () => node.SendDatagramAsync(new byte[1], new IPEndPoint(IPAddress.IPv6Loopback, 1)).Within());
        Check.Equal(UtpError.NetworkUnreachable, error.Error);
        Check.Equal(SocketError.AddressFamilyNotSupported, error.SocketError!.Value);
    }

    [Fact("each failure to send a datagram has its error, with the socket's exception")]
    public static async Task Reasons()
    {
        var answer = SocketError.Success;
        var socket = SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 1 << 20, 1 << 20);
        var transport = new ManagedTransport([socket], saysNextLength: true, (_, _) => throw new SocketException((int)answer));
        await using var node = UtpNode.Over(transport, UtpNodeOptionsCheck.Freeze(new UtpNodeOptions()));
        await RefusedAsync(SocketError.HostUnreachable, UtpError.NetworkUnreachable);
        await RefusedAsync(SocketError.NetworkDown, UtpError.NetworkUnreachable);
        await RefusedAsync(SocketError.AccessDenied, UtpError.DatagramNotSent);
        await RefusedAsync(SocketError.NoBufferSpaceAvailable, UtpError.DatagramNotSent);
        await RefusedAsync(SocketError.MessageSize, UtpError.DatagramTooLong, "1234 bytes");
        Check.That(!node.Completion.IsCompleted);

        async Task RefusedAsync(SocketError reason, UtpError expected, string words = "")
        {
            answer = reason;
            var error = await Check.ThrowsAsync<UtpException>(() => node.SendDatagramAsync(new byte[1234], node.LocalEndPoint).Within());
            Check.Equal(expected, error.Error, $"{reason}");
            Check.Equal(reason, error.SocketError!.Value);
            Check.Equal(reason, ((SocketException)error.InnerException!).SocketErrorCode);
            Check.Equal(node.LocalEndPoint, error.RemoteEndPoint!);
            Check.That(error.Message.Contains($"{node.LocalEndPoint}", StringComparison.Ordinal), error.Message);
            Check.That(error.Message.Contains(words, StringComparison.Ordinal), error.Message);
        }
    }

    [Fact("a thousand empty datagrams do not make the engine spin")]
    public static async Task Empty()
    {
        await using var node = await Pair.BindAsync();
        var count = 0;
        node.DatagramHandler = (_, _, _) => Interlocked.Increment(ref count);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        for (var index = 0; index < 1000; index++)
        {
            socket.SendTo([], node.LocalEndPoint);
        }

        await Waiting.UntilAsync(() => Volatile.Read(ref count) == 1000);
        var before = node.Engine.Steps;
        await Task.Delay(200);
        Check.That(node.Engine.Steps - before < 10);
    }
}
