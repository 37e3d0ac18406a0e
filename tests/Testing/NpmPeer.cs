using System.Net;

namespace UtpPunch.Tests;

/// <summary>One end of a connection, in an npm library: tests/peers/peer.js, which lists its behaviours.</summary>
public sealed class NpmPeer : PeerProcess
{
    public const string Native = "utp-native";
    public const string Punch = "utp-punch";

    /// <summary>Why a test without them is skipped.</summary>
    public const string Missing = "needs Node on the PATH and `npm ci` in tests/peers";

    private NpmPeer(string library, string[] arguments, string[]? within = null)
        : base([.. within ?? [], "node"], "peer.js", [library, .. arguments])
    {
    }

    /// <summary>Whether Node and the two packages are installed.</summary>
    public static bool IsAvailable { get; } = HasNode() && Directory.Exists(Path.Combine(Folder, "node_modules"));

    /// <summary>Starts a peer that listens, and applies the behaviour to each connection.</summary>
    public static async Task<NpmPeer> ServeAsync(string library, params object[] behaviour)
    {
        var peer = new NpmPeer(library, ["serve", .. Words(behaviour)]);
        await peer.LearnPortAsync("listening");
        return peer;
    }

    /// <summary>Starts a peer that connects to a port of this machine and then follows the behaviour.</summary>
    public static async Task<NpmPeer> DialAsync(string library, IPEndPoint target, params object[] behaviour)
    {
        var peer = new NpmPeer(library, ["dial", $"{target.Port}", .. Words(behaviour)]);
        await peer.LearnPortAsync("bound");
        return peer;
    }

    /// <summary>The same by a prefix of a command, such as one that runs it in another namespace, to any address.</summary>
    public static async Task<NpmPeer> DialWithinAsync(string[] within, string library, IPEndPoint target, params object[] behaviour)
    {
        var peer = new NpmPeer(library, ["dial", $"{target}", .. Words(behaviour)], within);
        await peer.LearnPortAsync("bound");
        return peer;
    }

    /// <summary>Starts a peer that has a port and does not listen.</summary>
    public static async Task<NpmPeer> BindAsync(string library)
    {
        var peer = new NpmPeer(library, ["bind"]);
        await peer.LearnPortAsync("bound");
        return peer;
    }

    /// <summary>Asks the peer to end its stream.</summary>
    public void End() => Command("end");

    /// <summary>Asks the peer to destroy its stream.</summary>
    public void Destroy() => Command("destroy");

    private static string[] Words(object[] arguments) => [.. arguments.Select(argument => $"{argument}")];

    private static bool HasNode() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(folder => File.Exists(Path.Combine(folder, OperatingSystem.IsWindows() ? "node.exe" : "node")));
}
