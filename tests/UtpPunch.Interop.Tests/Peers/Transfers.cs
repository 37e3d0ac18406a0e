using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>
/// Data each way at the same time: both libraries, either side dialling, a clean path and a bad one, with each of our congestion
/// controls. Over a bad path the libraries' own congestion controls are slow, so the data is a mebibyte only once.
/// </summary>
public static class Transfers
{
    // A fifth each way. utp-punch retransmits everything every 100 ms and never gives up.
    private static readonly RelayPath Terrible = new() { Loss = 0.2, Shuffle = TimeSpan.FromMilliseconds(50) };

    // A fifth in all: a tenth each way. With twice that libutp gives up on itself in 5 of 12 runs, because it does so after four
    // retransmissions in a row that were not acknowledged.
    internal static readonly RelayPath Bad = new() { Loss = 0.1, Shuffle = TimeSpan.FromMilliseconds(50) };

    [Fact("we dial utp-native with {0}: a mebibyte each way arrives")]
    [ForEach(typeof(Interop), nameof(Controllers))]
    [CarriesStreams]
    public static Task DialNative(UtpCongestionControl control) => WeDialAsync(NpmPeer.Native, control: control);

    [Fact("utp-native dials us, with {0}: a mebibyte each way arrives")]
    [ForEach(typeof(Interop), nameof(Controllers))]
    [CarriesStreams]
    public static Task NativeDials(UtpCongestionControl control) => TheyDialAsync(NpmPeer.Native, control: control);

    [Fact("we dial utp-punch with {0}: a mebibyte each way arrives")]
    [ForEach(typeof(Interop), nameof(Controllers))]
    [CarriesStreams]
    public static Task DialPunch(UtpCongestionControl control) => WeDialAsync(NpmPeer.Punch, control: control);

    [Fact("utp-punch dials us, with {0}: a mebibyte each way arrives")]
    [ForEach(typeof(Interop), nameof(Controllers))]
    [CarriesStreams]
    public static Task PunchDials(UtpCongestionControl control) => TheyDialAsync(NpmPeer.Punch, control: control);

    [Fact("we dial utp-native over a path that loses a fifth in all and reorders: a mebibyte each way arrives", Timeout = 400, Parallel = true)]
    public static Task DialNativeBadly() => WeDialAsync(NpmPeer.Native, Bad);

    [Fact("utp-native dials us over a path that loses a fifth in all and reorders: a mebibyte each way arrives", Timeout = 400, Parallel = true)]
    public static Task NativeDialsBadly() => TheyDialAsync(NpmPeer.Native, Bad);

    [Fact("we dial utp-punch over a path that loses a fifth each way and reorders: a mebibyte each way arrives", Timeout = 400, Parallel = true)]
    public static Task DialPunchBadly() => WeDialAsync(NpmPeer.Punch, Terrible);

    [Fact("utp-punch dials us over a path that loses a fifth each way and reorders: a mebibyte each way arrives", Timeout = 400, Parallel = true)]
    public static Task PunchDialsBadly() => TheyDialAsync(NpmPeer.Punch, Terrible);

    [Fact("we dial utp-native with {0}, over a path that loses a fifth in all and reorders: 128 KiB each way arrive", Timeout = 400, Parallel = true)]
    [ForEach(typeof(Interop), nameof(OtherControllers))]
    public static Task DialNativeBadly(UtpCongestionControl control) => WeDialAsync(NpmPeer.Native, Bad, control, Mebibyte / 8);

    [Fact("utp-native dials us, with {0}, over a path that loses a fifth in all and reorders: 128 KiB each way arrive", Timeout = 400, Parallel = true)]
    [ForEach(typeof(Interop), nameof(OtherControllers))]
    public static Task NativeDialsBadly(UtpCongestionControl control) => TheyDialAsync(NpmPeer.Native, Bad, control, Mebibyte / 8);

    [Fact("we dial utp-punch with {0}, over a path that loses a fifth each way and reorders: 128 KiB each way arrive", Timeout = 400, Parallel = true)]
    [ForEach(typeof(Interop), nameof(OtherControllers))]
    public static Task DialPunchBadly(UtpCongestionControl control) => WeDialAsync(NpmPeer.Punch, Terrible, control, Mebibyte / 8);

    [Fact("utp-punch dials us, with {0}, over a path that loses a fifth each way and reorders: 128 KiB each way arrive", Timeout = 400, Parallel = true)]
    [ForEach(typeof(Interop), nameof(OtherControllers))]
    public static Task PunchDialsBadly(UtpCongestionControl control) => TheyDialAsync(NpmPeer.Punch, Terrible, control, Mebibyte / 8);

    [Fact("a lost SYN to utp-native is retransmitted")]
    public static Task LostSynToNative() => LostSynAsync(NpmPeer.Native);

    [Fact("a lost SYN to utp-punch is retransmitted")]
    public static Task LostSynToPunch() => LostSynAsync(NpmPeer.Punch);

    [Fact("when our SYN-ACK is lost, utp-native retransmits its SYN, and no data is lost")]
    public static Task LostSynAckToNative() => LostSynAckAsync(NpmPeer.Native);

    [Fact("when our SYN-ACK is lost, utp-punch retransmits its SYN, and no data is lost")]
    public static Task LostSynAckToPunch() => LostSynAckAsync(NpmPeer.Punch);

    [Fact("the README's example works with utp-punch as the server")]
    [CarriesStreams]
    public static async Task HelloToPunch()
    {
        await using var node = await BindAsync(NpmPeer.Punch);
        using var peer = await NpmPeer.ServeAsync(NpmPeer.Punch, "hello");
        await using var stream = await DialAsync(node, NpmPeer.Punch, peer.EndPoint);
        await stream.WriteAsync("hello"u8.ToArray());
        Check.Equal("world", await TextAsync(stream));
        Check.Equal("hello", (await peer.WaitAsync("received")).Text);
    }

    [Fact("the README's example works with utp-punch as the client")]
    [CarriesStreams]
    public static async Task HelloFromPunch()
    {
        await using var node = await BindAsync(NpmPeer.Punch);
        await using var listener = node.Listen();
        using var peer = await NpmPeer.DialAsync(NpmPeer.Punch, node.LocalEndPoint, "hello");
        await using var stream = await AcceptAsync(listener);
        var hello = new byte[5];
        await stream.ReadExactlyAsync(hello);
        Check.Equal("hello"u8, hello);
        await stream.WriteAsync("world"u8.ToArray());
        stream.CompleteWrites();
        Check.Equal("world", (await peer.WaitAsync("received")).Text);
        await peer.WaitAsync("close");
        Check.Equal("", await TextAsync(stream));
    }

    private static async Task WeDialAsync(
        string library, RelayPath? path = null, UtpCongestionControl? control = null, int count = Mebibyte)
    {
        await using var node = await BindAsync(library, control: control);
        using var peer = await NpmPeer.ServeAsync(library, "exchange", count, TheirSeed);
        using var relay = new UdpRelay(peer.EndPoint, path, path, seed: 7);
        await using var stream = await DialAsync(node, library, relay.EndPoint);
        await ExchangeAsync(stream, peer, library, count);
    }

    private static async Task TheyDialAsync(
        string library, RelayPath? path = null, UtpCongestionControl? control = null, int count = Mebibyte)
    {
        await using var node = await BindAsync(library, control: control);
        await using var listener = node.Listen();
        using var relay = new UdpRelay(node.LocalEndPoint, path, path, seed: 7);
        using var peer = await NpmPeer.DialAsync(library, relay.EndPoint, "exchange", count, TheirSeed);
        await using var stream = await AcceptAsync(listener);
        await ExchangeAsync(stream, peer, library, count);
    }

    private static async Task LostSynAsync(string library)
    {
        await using var node = await BindAsync(library);
        using var peer = await NpmPeer.ServeAsync(library, "exchange", 1000, TheirSeed);
        using var relay = new UdpRelay(peer.EndPoint, drop: (way, ordinal, _) => way == RelayDirection.ToTarget && ordinal == 0);
        await using var stream = await DialAsync(node, library, relay.EndPoint);
        await ExchangeAsync(stream, peer, library, 1000);
    }

    private static async Task LostSynAckAsync(string library)
    {
        await using var node = await BindAsync(library);
        await using var listener = node.Listen();
        using var relay = new UdpRelay(node.LocalEndPoint, drop: (way, ordinal, _) => way == RelayDirection.ToClient && ordinal == 0);
        using var peer = await NpmPeer.DialAsync(library, relay.EndPoint, "exchange", 1000, TheirSeed);
        await using var stream = await AcceptAsync(listener);
        await ExchangeAsync(stream, peer, library, 1000);
    }

    // utp-native ends as soon as it has sent everything; so do we. utp-punch has no half-close and ends when it has everything; so
    // we end after it.
    internal static async Task ExchangeAsync(UtpStream stream, NpmPeer peer, string library, int count = Mebibyte)
    {
        var sending = SendAsync(stream, count);
        if (library == NpmPeer.Native)
        {
            sending = CompleteAfterAsync(sending, stream);
        }

        var received = await ReceiveAsync(stream);
        await sending;
        stream.CompleteWrites();
        Check.Equal(Of(TheirSeed, count), received);
        Check.Equal(Of(OurSeed, count), await ReceivedByAsync(peer));
    }

    private static async Task CompleteAfterAsync(Task sending, UtpStream stream)
    {
        await sending;
        stream.CompleteWrites();
    }

    private static async Task<string> TextAsync(Stream stream) => await new StreamReader(stream).ReadToEndAsync();
}
