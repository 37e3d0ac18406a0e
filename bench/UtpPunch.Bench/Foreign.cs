using System.Diagnostics;
using System.Globalization;
using UtpPunch.Cli.Bench;

namespace UtpPunch.Bench;

/// <summary>Other libraries that carry bulk data over UDP.</summary>
internal static class Foreign
{
    private const string Loopback = "127.0.0.1";
    private static readonly string s_peers = Path.Combine(Repository.Root, "tests", "peers");

    /// <summary>All that are installed; the others are named on standard error.</summary>
    public static BulkPair[] Pairs()
    {
        List<BulkPair> pairs = [new("LiteNetLib, reliable ordered", Worker.Role("litenet-read"), port => Worker.Role("litenet-write", $"port={port}"))];
        if (AreInstalled())
        {
            pairs.Add(Npm("utp-punch"));
            pairs.Add(Npm("utp-native"));
        }

        return [.. pairs];
    }

    /// <summary>The npm packages over an emulated path, if they are installed.</summary>
    public static WanContestant[] WanContestants() => !AreInstalled() ? [] :
    [
        .. new[] { "utp-native", "utp-punch" }.Select(library => new WanContestant($"npm-{library}", new BulkPair(
            $"npm {library}",
            Node(library, "read", WanLink.ReceiverIp),
            port => Node(library, "write", WanLink.SenderIp, Port(port), WanLink.ReceiverIp)))),
    ];

    private static bool AreInstalled()
    {
        var areInstalled = Directory.Exists(Path.Combine(s_peers, "node_modules"));
        if (!areInstalled)
        {
            Console.Error.WriteLine("npm utp-punch and utp-native are skipped: they need Node.js and npm");
        }

        return areInstalled;
    }

    private static BulkPair Npm(string library) => new(
        $"npm {library}",
        Node(library, "read"),
        port => Node(library, "write", Loopback, Port(port)));

    private static string Port(int port) => port.ToString(CultureInfo.InvariantCulture);

    private static ProcessStartInfo Node(params string[] arguments) => new("node", [Path.Combine(s_peers, "bench.js"), .. arguments]);
}
