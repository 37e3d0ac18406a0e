using System.Diagnostics;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>Peers that refuse, reset or vanish: each gives a specific error, and none is taken for an end.</summary>
public static class Refusals
{
    [Fact("utp-punch that does not listen refuses a connect at once")]
    public static async Task RefusedByPunch()
    {
        await using var node = await BindAsync(NpmPeer.Punch);
        using var peer = await NpmPeer.BindAsync(NpmPeer.Punch);
        var started = Stopwatch.GetTimestamp();
        var refusal = await Check.ThrowsAsync<UtpException>(() => DialAsync(node, NpmPeer.Punch, peer.EndPoint).AsTask());
        Check.Equal(UtpError.ConnectionRefused, refusal.Error);
        Check.That(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(2));
    }

    // libutp ignores a SYN that it does not accept.
    [Fact("utp-native that does not listen does not answer, and the connect times out")]
    public static async Task IgnoredByNative()
    {
        await using var node = await BindAsync(NpmPeer.Native);
        using var peer = await NpmPeer.BindAsync(NpmPeer.Native);
        var started = Stopwatch.GetTimestamp();
        var timeout = TimeSpan.FromSeconds(3);
        var refusal = await Check.ThrowsAsync<UtpException>(() => DialAsync(node, NpmPeer.Native, peer.EndPoint, timeout).AsTask());
        Check.Equal(UtpError.ConnectTimeout, refusal.Error);
        var elapsed = Stopwatch.GetElapsedTime(started);
        Check.That(elapsed > timeout * 0.9 && elapsed < timeout * 2);
    }

    [Fact("utp-native is destroyed while we write: our writes fail as reset")]
    [CarriesStreams]
    public static Task NativeDestroyedWhileWeWrite() => DestroyedWhileWeWriteAsync(NpmPeer.Native);

    [Fact("utp-punch is destroyed while we write: our writes fail as reset")]
    [CarriesStreams]
    public static Task PunchDestroyedWhileWeWrite() => DestroyedWhileWeWriteAsync(NpmPeer.Punch);

    // The same for utp-native would be an orderly end, too early: its destroy() drops what JavaScript has buffered, and libutp
    // then ends the stream with a FIN. Nothing on the wire shows it.
    [Fact("utp-punch is destroyed while it writes: our reads fail as reset, and are not ended")]
    public static async Task PunchDestroyedWhileItWrites()
    {
        await using var node = await BindAsync(NpmPeer.Punch);
        await using var listener = node.Listen();
        using var peer = await NpmPeer.DialAsync(NpmPeer.Punch, node.LocalEndPoint, "source", 1_000_000_000);
        await using var stream = await AcceptAsync(listener);
        await stream.ReadExactlyAsync(new byte[Mebibyte]);
        peer.Destroy();
        var reset = await Check.ThrowsAsync<UtpException>(() => ReceiveAsync(stream));
        Check.Equal(UtpError.ConnectionReset, reset.Error);
    }

    [Fact("utp-native vanishes while we write: our writes fail in bounded time", Timeout = 120, Parallel = true)]
    public static Task NativeVanishes() => VanishesWhileWeWriteAsync(NpmPeer.Native);

    [Fact("utp-punch vanishes while we write: our writes fail in bounded time", Timeout = 120, Parallel = true)]
    public static Task PunchVanishes() => VanishesWhileWeWriteAsync(NpmPeer.Punch);

    [Fact("a filter that admits utp-native and utp-punch lets their bytes through")]
    [CarriesStreams]
    public static async Task AdmittedByFilter()
    {
        foreach (var library in new[] { NpmPeer.Native, NpmPeer.Punch })
        {
            await using var node = await BindAsync(library);
            await using var listener = node.Listen(new UtpListenOptions { Filter = (_, _) => ValueTask.FromResult(true) });
            using var peer = await NpmPeer.DialAsync(library, node.LocalEndPoint, "source", Mebibyte);
            await using var stream = await AcceptAsync(listener);
            await ReceiveAsync(stream);
        }
    }

    [Fact("utp-native and utp-punch are refused by a filter at once")]
    public static async Task RefusedByFilter()
    {
        foreach (var library in new[] { NpmPeer.Native, NpmPeer.Punch })
        {
            await using var node = await BindAsync(library);
            var asked = 0;
            await using var listener = node.Listen(new UtpListenOptions
            {
                Filter = (_, _) =>
                {
                    asked++;
                    return ValueTask.FromResult(false);
                },
            });
            using var peer = await NpmPeer.DialAsync(library, node.LocalEndPoint, "source", Mebibyte);
            await peer.WaitAsync(library == NpmPeer.Native ? "error" : "close");
            Check.Equal(0, listener.PendingConnections);
            Check.That(asked >= 1);
        }
    }

    [Fact("when we abort, utp-native sees a reset")]
    [CarriesStreams]
    public static Task AbortToNative() =>
        AbortAsync(NpmPeer.Native, async peer => Check.Equal("UTP_ECONNRESET", (await peer.WaitAsync("error")).Message));

    [Fact("when we abort, utp-punch closes without an error: it takes a reset for an end")]
    [CarriesStreams]
    public static Task AbortToPunch() => AbortAsync(NpmPeer.Punch, peer => peer.WaitAsync("close"));

    // An error code is for our own nodes: the RESET is as it is without one.
    private static async Task AbortAsync(string library, Func<NpmPeer, Task> isSeenBy)
    {
        await AbortAsync(library, isSeenBy, stream => stream.Abort());
        await AbortAsync(library, isSeenBy, stream => stream.Abort(7));
    }

    private static async Task AbortAsync(string library, Func<NpmPeer, Task> isSeenBy, Action<UtpStream> abort)
    {
        await using var node = await BindAsync(library);
        // It writes nothing, because utp-native reports nothing when a reset arrives with an unacknowledged write.
        using var peer = await NpmPeer.ServeAsync(library, "silent");
        await using var stream = await DialAsync(node, library, peer.EndPoint);
        await stream.WriteAsync("hello"u8.ToArray());
        await stream.DrainAsync();
        await peer.WaitAsync("connected");
        abort(stream);
        await isSeenBy(peer);
    }

    private static async Task DestroyedWhileWeWriteAsync(string library)
    {
        await using var node = await BindAsync(library);
        using var peer = await NpmPeer.ServeAsync(library, "silent");
        await using var stream = await DialAsync(node, library, peer.EndPoint);
        await SendAsync(stream, Mebibyte);
        await peer.WaitAsync("connected");
        peer.Destroy();
        var reset = await Check.ThrowsAsync<UtpException>(() => WriteForEverAsync(stream));
        Check.Equal(UtpError.ConnectionReset, reset.Error);
    }

    private static async Task VanishesWhileWeWriteAsync(string library)
    {
        await using var node = await BindAsync(library);
        using var peer = await NpmPeer.ServeAsync(library, "silent");
        using var relay = new UdpRelay(peer.EndPoint);
        await using var stream = await DialAsync(node, library, relay.EndPoint);
        await SendAsync(stream, Mebibyte);

        // A black hole rather than a dead process, so that no ICMP message reports it sooner.
        relay.ToTarget = relay.ToClient = new RelayPath { Loss = 1 };
        var lost = await Check.ThrowsAsync<UtpException>(() => WriteForEverAsync(stream));
        Check.Equal(UtpError.AcknowledgementTimeout, lost.Error);
    }

    private static async Task WriteForEverAsync(UtpStream stream)
    {
        var block = new byte[64 * 1024];
        while (true)
        {
            await stream.WriteAsync(block);
        }
    }
}
