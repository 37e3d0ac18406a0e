using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>
/// One side ends, and the other continues. Only utp-native can do so: with utp-punch the end of one direction is the end of both. In uTP
/// the dialler must send first (libutp holds its server's data until the first data packet arrives), so where it would not
/// otherwise, it sends one byte.
/// </summary>
public static class HalfClose
{
    private const int Count = 300_000;

    [Fact("we dial and end; what utp-native sends after that still arrives")]
    [CarriesStreams]
    public static async Task WeDialAndEndFirst()
    {
        await using var node = await BindAsync(NpmPeer.Native);
        using var peer = await NpmPeer.ServeAsync(NpmPeer.Native, "half-close", Count, TheirSeed);
        await using var stream = await DialAsync(node, NpmPeer.Native, peer.EndPoint);
        await WeEndFirstAsync(stream, peer);
    }

    [Fact("utp-native dials and we end; what it sends after that still arrives")]
    [CarriesStreams]
    public static async Task WeAcceptAndEndFirst()
    {
        await using var node = await BindAsync(NpmPeer.Native);
        await using var listener = node.Listen();
        using var peer = await NpmPeer.DialAsync(NpmPeer.Native, node.LocalEndPoint, "half-close", Count, TheirSeed);
        await using var stream = await AcceptAsync(listener);
        await WeEndFirstAsync(stream, peer);
    }

    [Fact("we dial and utp-native ends; what we send after that arrives")]
    [CarriesStreams]
    public static async Task WeDialAndEndLast()
    {
        await using var node = await BindAsync(NpmPeer.Native);
        using var peer = await NpmPeer.ServeAsync(NpmPeer.Native, "exchange", Count, TheirSeed);
        await using var stream = await DialAsync(node, NpmPeer.Native, peer.EndPoint);
        await SendAsync(stream, 1);
        Check.Equal(Of(TheirSeed, Count), await ReceiveAsync(stream));
        await SendAsync(stream, Count);
        stream.CompleteWrites();
        Check.Equal(Count + 1, (await ReceivedByAsync(peer)).Bytes);
        await stream.WritesClosed;
    }

    [Fact("utp-native dials and ends; what we send after that still arrives")]
    [CarriesStreams]
    public static async Task WeAcceptAndEndLast()
    {
        await using var node = await BindAsync(NpmPeer.Native);
        await using var listener = node.Listen();
        using var peer = await NpmPeer.DialAsync(NpmPeer.Native, node.LocalEndPoint, "exchange", Count, TheirSeed);
        await using var stream = await AcceptAsync(listener);
        Check.Equal(Of(TheirSeed, Count), await ReceiveAsync(stream));
        await SendAsync(stream, Count);
        stream.CompleteWrites();
        Check.Equal(Of(OurSeed, Count), await ReceivedByAsync(peer));
        await stream.WritesClosed;
    }

    [Fact("utp-native dials and ends without data: an end, not an error")]
    [CarriesStreams]
    public static Task SilentEndOfNative() => SilentEndAsync(NpmPeer.Native);

    [Fact("utp-punch dials and ends without data: an end, not an error")]
    [CarriesStreams]
    public static Task SilentEndOfPunch() => SilentEndAsync(NpmPeer.Punch);

    [Fact("we dial utp-native and end without data: it receives the end")]
    public static Task OurSilentEndToNative() => OurSilentEndAsync(NpmPeer.Native);

    [Fact("we dial utp-punch and end without data: it receives the end")]
    public static Task OurSilentEndToPunch() => OurSilentEndAsync(NpmPeer.Punch);

    // A utp-punch dialler without data sends a keep-alive within two seconds.
    [Fact("utp-punch dials and waits: we may send first")]
    public static Task SpeakFirstToPunch() => SpeakFirstAsync(NpmPeer.Punch);

    // libutp's first keep-alive comes after 29 s, and acknowledges one less than it has received.
    [Fact("utp-native dials and waits: we may send first", Timeout = 50, Parallel = true)]
    public static Task SpeakFirstToNative() => SpeakFirstAsync(NpmPeer.Native);

    private static async Task WeEndFirstAsync(UtpStream stream, NpmPeer peer)
    {
        await SendAsync(stream, 5000);
        stream.CompleteWrites();
        var received = await ReceivedByAsync(peer);     // the peer reports the end before it sends
        Check.Equal(Of(OurSeed, 5000), received);
        Check.Equal(Of(TheirSeed, Count), await ReceiveAsync(stream));
        await stream.ReadsClosed;
        await stream.WritesClosed;
    }

    private static async Task SilentEndAsync(string library)
    {
        await using var node = await BindAsync(library);
        await using var listener = node.Listen();
        using var peer = await NpmPeer.DialAsync(library, node.LocalEndPoint, "exchange", 0, TheirSeed);
        await using var stream = await AcceptAsync(listener);
        Check.Equal(Of(TheirSeed, 0), await ReceiveAsync(stream));
        await stream.ReadsClosed;
        stream.CompleteWrites();
        await peer.WaitAsync("end");
    }

    private static async Task OurSilentEndAsync(string library)
    {
        await using var node = await BindAsync(library);
        using var peer = await NpmPeer.ServeAsync(library, "silent");
        await using var stream = await DialAsync(node, library, peer.EndPoint);
        stream.CompleteWrites();
        await peer.WaitAsync("end");
        await stream.WritesClosed;
    }

    private static async Task SpeakFirstAsync(string library)
    {
        await using var node = await BindAsync(library);
        await using var listener = node.Listen();
        using var peer = await NpmPeer.DialAsync(library, node.LocalEndPoint, "echo");
        await using var stream = await AcceptAsync(listener);
        await stream.WriteAsync("hello"u8.ToArray());
        var echo = new byte[5];
        await stream.ReadExactlyAsync(echo);
        Check.Equal("hello"u8, echo);
    }
}
