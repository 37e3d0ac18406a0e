using System.Net;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>
/// A torrent between us and a session of libtorrent, whose uTP is an implementation of its own: either side has the content, either side
/// connects, over a clean path and a bad one.
/// </summary>
public static class TorrentTransfers
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(50);

    [Fact("we dial libtorrent and seed with {0}: its file is whole", Parallel = true)]
    [ForEach(typeof(Interop), nameof(Controllers))]
    [CarriesStreams]
    public static Task DialAndSeed(UtpCongestionControl control) => WeDialAsync(control, weSeed: true);

    [Fact("libtorrent dials us and we seed with {0}: its file is whole", Parallel = true)]
    [ForEach(typeof(Interop), nameof(Controllers))]
    [CarriesStreams]
    public static Task DialledAndSeed(UtpCongestionControl control) => TheyDialAsync(control, weSeed: true);

    [Fact("we dial libtorrent, which seeds: every piece has its hash", Parallel = true)]
    [CarriesStreams]
    public static Task DialAndLeech() => WeDialAsync(UtpCongestionControl.Bbr, weSeed: false);

    [Fact("libtorrent dials us and seeds: every piece has its hash", Parallel = true)]
    [CarriesStreams]
    public static Task DialledAndLeech() => TheyDialAsync(UtpCongestionControl.Bbr, weSeed: false);

    [Fact("we dial libtorrent and seed with {0} over a path that loses and reorders: its file is whole", Timeout = 120, Parallel = true)]
    [ForEach(typeof(Interop), nameof(Controllers))]
    public static Task DialAndSeedBadly(UtpCongestionControl control) => WeDialAsync(control, weSeed: true, Transfers.Bad);

    [Fact("libtorrent dials us and we seed with {0} over a path that loses and reorders: its file is whole", Timeout = 120, Parallel = true)]
    [ForEach(typeof(Interop), nameof(Controllers))]
    public static Task DialledAndSeedBadly(UtpCongestionControl control) => TheyDialAsync(control, weSeed: true, Transfers.Bad);

    [Fact("we dial libtorrent, which seeds over a path that loses and reorders: every piece has its hash", Timeout = 120, Parallel = true)]
    public static Task DialAndLeechBadly() => WeDialAsync(UtpCongestionControl.Bbr, weSeed: false, Transfers.Bad);

    [Fact("libtorrent dials us and seeds over a path that loses and reorders: every piece has its hash", Timeout = 120, Parallel = true)]
    public static Task DialledAndLeechBadly() => TheyDialAsync(UtpCongestionControl.Bbr, weSeed: false, Transfers.Bad);

    [Fact("when we end a stream, libtorrent acknowledges that and ends, too")]
    [CarriesStreams]
    public static async Task WeEnd()
    {
        await using var node = await BindAsync(UtpCongestionControl.Bbr);
        using var torrent = new Torrent(TheirSeed, Mebibyte);
        using var peer = await TorrentPeer.SeedAsync(torrent);
        await using var stream = await node.ConnectAsync(peer.EndPoint);
        var session = new TorrentSession(stream, torrent);
        torrent.Verify(await session.LeechAsync());
        stream.CompleteWrites();
        await session.ReadEndAsync();
        await stream.WritesClosed;
    }

    private static async Task WeDialAsync(UtpCongestionControl control, bool weSeed, RelayPath? path = null)
    {
        await using var node = await BindAsync(control);
        using var torrent = new Torrent(TheirSeed, path is null ? 4 * Mebibyte : Mebibyte / 4);
        using var peer = await (weSeed ? TorrentPeer.LeechAsync(torrent) : TorrentPeer.SeedAsync(torrent));
        using var relay = new UdpRelay(peer.EndPoint, path, path, 7);
        await using var stream = await node.ConnectAsync(relay.EndPoint);
        await TransferAsync(stream, peer, torrent, weSeed);
    }

    private static async Task TheyDialAsync(UtpCongestionControl control, bool weSeed, RelayPath? path = null)
    {
        await using var node = await BindAsync(control);
        await using var listener = node.Listen();
        using var torrent = new Torrent(TheirSeed, path is null ? 4 * Mebibyte : Mebibyte / 4);
        using var relay = new UdpRelay(node.LocalEndPoint, path, path, 7);
        using var peer = await (weSeed ? TorrentPeer.LeechAsync(torrent, relay.EndPoint) : TorrentPeer.SeedAsync(torrent, relay.EndPoint));
        await using var stream = await AcceptAsync(listener);
        await TransferAsync(stream, peer, torrent, weSeed);
    }

    // libtorrent ends, since a stream that we end first does not end well over a bad path: after our FIN it ignores our STATEs, whose seq_nr
    // is higher than that of the FIN.
    private static async Task TransferAsync(UtpStream stream, TorrentPeer peer, Torrent torrent, bool weSeed)
    {
        var session = new TorrentSession(stream, torrent);
        if (weSeed)
        {
            var serving = session.SeedAsync();
            var receiving = peer.WaitAsync("received", Limit);
            await await Task.WhenAny(serving, receiving);
            var received = await receiving;
            Check.Equal(Of(TheirSeed, torrent.Content.Length), new Digest(received.Bytes, received.Sha256));
            peer.End();
            await serving;
        }
        else
        {
            torrent.Verify(await session.LeechAsync());
            peer.End();
            await session.ReadEndAsync();
        }

        // libtorrent has no half-close: it forgets a stream when its FIN is acknowledged, and does not answer ours.
        stream.Abort();
    }

    private static ValueTask<UtpNode> BindAsync(UtpCongestionControl control)
    {
        Skip.Unless(TorrentPeer.IsAvailable, TorrentPeer.Missing);
        return UtpNode.BindAsync(new UtpNodeOptions
        {
            LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            CongestionControl = control,
            ShutdownTimeout = TimeSpan.Zero, // when the node ends, the peer is gone
        });
    }
}
