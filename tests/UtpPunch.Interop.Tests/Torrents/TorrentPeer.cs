using System.Diagnostics;
using System.Net;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>One end of a connection, in libtorrent: tests/peers/torrent.py, for one torrent.</summary>
internal sealed class TorrentPeer : PeerProcess
{
    public const string Missing = "needs Debian's package python3-libtorrent";

    // Debian's package is for Debian's Python, which may not be the first on the PATH.
    private const string Python = "/usr/bin/python3";

    private static readonly Lazy<bool> s_isAvailable = new(HasLibrary);

    private TorrentPeer(string role, string folder, string[] target)
        : base(Python, "torrent.py", [role, folder, .. target])
    {
    }

    /// <summary>Whether libtorrent can be loaded.</summary>
    public static bool IsAvailable => s_isAvailable.Value;

    /// <summary>Starts a peer that has the content of a torrent. With a target it connects there; otherwise it listens.</summary>
    public static async Task<TorrentPeer> SeedAsync(Torrent torrent, IPEndPoint? target = null)
    {
        await torrent.WriteContentAsync();
        return await StartAsync("seed", torrent, target);
    }

    /// <summary>Starts a peer that downloads a torrent. With a target it connects there; otherwise it listens.</summary>
    public static Task<TorrentPeer> LeechAsync(Torrent torrent, IPEndPoint? target = null) => StartAsync("leech", torrent, target);

    /// <summary>Asks the peer to end the connection.</summary>
    public void End() => Command("end");

    private static async Task<TorrentPeer> StartAsync(string role, Torrent torrent, IPEndPoint? target)
    {
        var peer = new TorrentPeer(role, torrent.Folder, target is null ? [] : [$"{target.Port}"]);
        await peer.LearnPortAsync("listening");
        return peer;
    }

    private static bool HasLibrary()
    {
        if (!File.Exists(Python))
        {
            return false;
        }

        using var python = Process.Start(new ProcessStartInfo(Python, ["-c", "import libtorrent"]) { RedirectStandardError = true })!;
        python.StandardError.ReadToEnd();
        python.WaitForExit();
        return python.ExitCode == 0;
    }
}
