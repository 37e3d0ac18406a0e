using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Streams that both peers open at the same time (BEP 55).</summary>
public static class Simultaneous
{
    private static readonly UtpConnectOptions s_both = new() { Simultaneous = true, Timeout = TimeSpan.FromSeconds(10) };

    [Fact("two nodes that dial each other and do not listen have one stream, and it is the same")]
    [CarriesStreams]
    public static async Task One()
    {
        for (var round = 0; round < 20; round++)
        {
            await using var one = await Pair.BindAsync();
            await using var other = await Pair.BindAsync();
            var streams = await Task.WhenAll(
                one.ConnectAsync(other.LocalEndPoint, s_both).AsTask(), other.ConnectAsync(one.LocalEndPoint, s_both).AsTask()).Within();
            Check.Equal(1, streams.Count(stream => stream.IsIncoming));
            foreach (var (from, to) in new[] { (streams[0], streams[1]), (streams[1], streams[0]) })
            {
                await from.WriteAsync(new byte[] { (byte)round }).Within();
                var heard = new byte[1];
                await to.ReadExactlyAsync(heard).Within();
                Check.Equal(round, heard[0]);
            }

            await streams[0].DisposeAsync();
            await streams[1].DisposeAsync();
        }
    }

    [Fact("nodes that listen have both streams, one from the listener")]
    public static async Task Both()
    {
        await using var one = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        var accepting = new[] { one.Listen(), other.Listen() }.Select(listener => listener.AcceptAsync().AsTask()).ToArray();
        var streams = await Task.WhenAll(
            one.ConnectAsync(other.LocalEndPoint, s_both).AsTask(), other.ConnectAsync(one.LocalEndPoint, s_both).AsTask()).Within();
        var accepted = await Task.WhenAll(accepting).Within();
        Check.That(streams.All(stream => !stream.IsIncoming) && accepted.All(stream => stream.IsIncoming), "each side has one of each");
        foreach (var stream in streams.Concat(accepted))
        {
            stream.Abort();
        }
    }

    [Fact("a peer that refuses is asked again until the time is over, or the call is cancelled")]
    public static async Task Refusal()
    {
        await using var one = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        var error = await Check.ThrowsAsync<UtpException>(() => one.ConnectAsync(
            other.LocalEndPoint, new UtpConnectOptions { Simultaneous = true, Timeout = TimeSpan.FromSeconds(1) }).AsTask().Within());
        Check.Equal(UtpError.ConnectTimeout, error.Error);

        using var cancel = new CancellationTokenSource();
        var dialling = one.ConnectAsync(other.LocalEndPoint, s_both, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => dialling.Within());
        Check.Equal(UtpError.ConnectionRefused, (await Check.ThrowsAsync<UtpException>(() => other.ConnectAsync(one.LocalEndPoint).AsTask().Within())).Error);
    }

    [Fact("a hop limit out of range, and the other dialect, are refused")]
    public static async Task Options()
    {
        await using var node = await Pair.BindAsync();
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        foreach (var options in new UtpConnectOptions[]
        {
            new() { Simultaneous = true, PrimingHops = 0 },
            new() { Simultaneous = true, PrimingHops = 256 },
            new() { Simultaneous = true, Dialect = UtpDialect.Npm },
        })
        {
            await Check.ThrowsAsync<ArgumentException>(() => node.ConnectAsync(silent.LocalEndPoint!, options).AsTask().Within());
        }
    }
}
