using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>One name, several addresses.</summary>
public static class Dialling
{
    [Fact("the end point of a node that is bound to a wildcard address can be dialled on the same machine")]
    public static async Task Wildcards()
    {
        IPAddress[] wildcards = [IPAddress.Any, IPAddress.IPv6Any];
        foreach (var (wildcard, own) in wildcards.SelectMany(_ => wildcards.Append(IPAddress.Loopback), (wildcard, own) => (wildcard, own)))
        {
            await using var server = await Pair.BindAsync(options => options.LocalEndPoint = new IPEndPoint(wildcard, 0));
            await using var client = await Pair.BindAsync(options => options.LocalEndPoint = new IPEndPoint(own, 0));
            await using var listener = server.Listen();
            await using var near = await client.ConnectAsync(server.LocalEndPoint).Within();
            await using var far = await listener.AcceptAsync().Within();
            Check.That(IPAddress.IsLoopback(near.RemoteEndPoint.Address), $"{near.RemoteEndPoint}");
        }
    }

    [Fact("an address that does not answer delays the next attempt by the head start only")]
    public static async Task MuteFirst()
    {
        using var mute = Mute();
        await using var server = await Pair.BindAsync();
        var listener = server.Listen();
        await using var client = await Pair.BindAsync();
        var near = await DialAsync(client, 10, [(IPEndPoint)mute.LocalEndPoint!, server.LocalEndPoint]);
        Check.Equal(server.LocalEndPoint, near!.RemoteEndPoint);
        await listener.AcceptAsync().Within();
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 1);
        client.Dispose();
        server.Dispose();
    }

    [Fact("after a refusal the next address is tried at once; if all refuse, the first refusal is thrown")]
    public static async Task RefusingFirst()
    {
        await using var first = await Pair.BindAsync();
        await using var second = await Pair.BindAsync();
        await using var server = await Pair.BindAsync();
        _ = server.Listen();
        await using var client = await Pair.BindAsync();
        var near = await DialAsync(client, 0.2, [first.LocalEndPoint, second.LocalEndPoint, server.LocalEndPoint]);
        Check.Equal(server.LocalEndPoint, near!.RemoteEndPoint);
        var error = await Check.ThrowsAsync<UtpException>(() => DialAsync(client, 10, [first.LocalEndPoint, second.LocalEndPoint]));
        Check.Equal(UtpError.ConnectionRefused, error.Error);
        Check.Equal(first.LocalEndPoint, error.RemoteEndPoint!);
        client.Dispose();
        server.Dispose();
    }

    [Fact("the time-out holds for all addresses together")]
    public static async Task AllMute()
    {
        using var mute = Mute();
        await using var client = await Pair.BindAsync();
        var remote = (IPEndPoint)mute.LocalEndPoint!;
        var error = await Check.ThrowsAsync<UtpException>(() => DialAsync(client, 0.4, [remote, remote, remote]));
        Check.Equal(UtpError.ConnectTimeout, error.Error);
        Check.That(await DialAsync(client, 0, [remote]) is null);
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 0);
    }

    [Fact("cancelling ends all attempts")]
    public static async Task Cancelled()
    {
        using var mute = Mute();
        await using var client = await Pair.BindAsync();
        using var source = new CancellationTokenSource();
        var remote = Addresses.ToEndpoint((IPEndPoint)mute.LocalEndPoint!);
        var dialling = client.DialAnyAsync([remote, remote], new UtpPunch.Dialling(Dialect.Bep29, TimeSpan.FromSeconds(10), UtpCongestionControl.Bbr), source.Token).AsTask();
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 2);
        await source.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => dialling.Within());
        await Waiting.UntilAsync(() => client.GetStatistics().OutgoingConnections == 0);
    }

    [Fact("the options of the npm package have their counterparts")]
    public static async Task FromNpm()
    {
        var options = UtpNodeOptions.FromNpm();
        Check.That(options is { Dialect: UtpDialect.Npm, PacketSize: 1020, PacketWindow: 63 });
        Check.Equal(TimeSpan.FromSeconds(5), options.LingerTimeout);
        Check.Equal(TimeSpan.FromMilliseconds(100), options.MinRetransmitTimeout);
        Check.Equal(TimeSpan.FromSeconds(1), options.KeepAliveInterval);
        options.LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0);
        await using var server = await UtpNode.BindAsync(options);
        await using var client = await Pair.BindAsync();
        var listener = server.Listen();
        var near = await client.ConnectAsync(server.LocalEndPoint, new UtpConnectOptions { Dialect = UtpDialect.Npm }).Within();
        Check.Equal(1000, near.MaxPayload);
        var far = await listener.AcceptAsync().Within();
        Check.Equal(1000, far.MaxPayload);
        await near.WriteAsync(Waiting.Bytes(100_000), completeWrites: true).Within();
        Waiting.Same(Waiting.Bytes(100_000), await far.ReadToEndAsync());
        client.Dispose();
        server.Dispose();
    }

    [Fact("other options of the npm package than the defaults are carried over, too")]
    public static void FromOtherUtpPunch()
    {
        var options = UtpNodeOptions.FromNpm(
            bufferSize: 256, mtu: 500, TimeSpan.FromSeconds(1.5), TimeSpan.FromMilliseconds(250), keepAlive: TimeSpan.FromSeconds(3));
        Check.Equal(UtpDialect.Npm, options.Dialect);
        Check.Equal(520, options.PacketSize!.Value);
        Check.Equal(255, options.PacketWindow!.Value);
        Check.Equal(256 * 520, options.SendBufferSize);
        Check.Equal(256 * 520, options.ReceiveBufferSize);
        Check.Equal(TimeSpan.FromSeconds(1.5), options.ConnectTimeout);
        Check.Equal(TimeSpan.FromSeconds(1.5), options.LingerTimeout);
        Check.Equal(TimeSpan.FromMilliseconds(250), options.InitialRetransmitTimeout);
        Check.Equal(TimeSpan.FromMilliseconds(250), options.MinRetransmitTimeout);
        Check.Equal(TimeSpan.FromSeconds(3), options.KeepAliveInterval);
        Check.Equal(new UtpNodeOptions().IdleTimeout, options.IdleTimeout);
    }

    [Fact("the options of the npm package work at both ends of their ranges, and beyond them are refused by name")]
    public static async Task RangesOfUtpPunch()
    {
        await MovesAsync(UtpNodeOptions.FromNpm(2, 80, Milliseconds(1000), Milliseconds(1), Milliseconds(1)), 80, 1, 64 * 1024);
        await MovesAsync(UtpNodeOptions.FromNpm(1001, 65487), 65487, 1000, 1001 * 65507);
        await MovesAsync(UtpNodeOptions.FromNpm(int.MaxValue, 1000, Milliseconds(int.MaxValue), Milliseconds(int.MaxValue), Milliseconds(int.MaxValue)), 1000, 1000, 1 << 30);
        foreach (var (bufferSize, mtu) in new[] { (1, 1000), (0, 1000), (-64, 1000), (64, 79), (64, 0), (64, 65488), (64, int.MaxValue) })
        {
            Refused(bufferSize < 2 ? "bufferSize" : "mtu", () => UtpNodeOptions.FromNpm(bufferSize, mtu));
        }

        foreach (var wrong in new[] { 0, -2, int.MinValue })
        {
            Refused("timeout", () => UtpNodeOptions.FromNpm(timeout: Milliseconds(wrong)));
            Refused("resend", () => UtpNodeOptions.FromNpm(resend: Milliseconds(wrong)));
            Refused("keepAlive", () => UtpNodeOptions.FromNpm(keepAlive: Milliseconds(wrong)));
        }

        static TimeSpan Milliseconds(int count) => TimeSpan.FromMilliseconds(count);

        static void Refused(string name, Action make) => Check.Equal(name, Check.Throws<ArgumentOutOfRangeException>(make).ParamName);

        static async Task MovesAsync(UtpNodeOptions options, int payload, int window, int buffer)
        {
            Check.Equal(window, options.PacketWindow!.Value);
            Check.Equal(buffer, options.SendBufferSize);
            Check.Equal(buffer, options.ReceiveBufferSize);
            options.LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0);
            await using var node = await UtpNode.BindAsync(options);
            var accepting = node.Listen().AcceptAsync().AsTask();
            var near = await node.ConnectAsync(node.LocalEndPoint).Within();
            var far = await accepting.Within();
            Check.Equal(payload, near.MaxPayload);
            var reading = far.ReadToEndAsync();
            await near.WriteAsync(Waiting.Bytes(20_000), completeWrites: true).Within();
            Waiting.Same(Waiting.Bytes(20_000), await reading);
            node.Dispose();
        }
    }

    private static Task<UtpStream?> DialAsync(UtpNode node, double seconds, IPEndPoint[] remotes) =>
        node.DialAnyAsync(remotes.Select(Addresses.ToEndpoint).ToList(), new UtpPunch.Dialling(Dialect.Bep29, TimeSpan.FromSeconds(seconds), UtpCongestionControl.Bbr), default).Within();

    private static Socket Mute()
    {
        var mute = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        mute.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return mute;
    }
}
