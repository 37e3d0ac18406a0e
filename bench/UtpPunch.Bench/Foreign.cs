using System.Diagnostics;
using System.Globalization;
using UtpPunch.Cli.Bench;

namespace UtpPunch.Bench;

/// <summary>Other libraries that carry bulk data over UDP.</summary>
internal static class Foreign
{
    private static readonly string s_peers = Path.Combine(Repository.Root, "tests", "peers");

    /// <summary>All that are installed; the others are named on standard error.</summary>
    public static BulkPair[] Pairs()
    {
        List<BulkPair> pairs = [new("LiteNetLib, reliable ordered", Worker.Role("litenet-read"), port => Worker.Role("litenet-write", $"port={port}"))];
        if (Directory.Exists(Path.Combine(s_peers, "node_modules")))
        {
            pairs.Add(Npm("utp-punch"));
            pairs.Add(Npm("utp-native"));
        }
        else
        {
            Console.Error.WriteLine("npm utp-punch and utp-native are skipped: they need Node.js and npm");
        }

        return [.. pairs];
    }

    private static BulkPair Npm(string library) => new(
        $"npm {library}",
        Node(library, "read"),
        port => Node(library, "write", port.ToString(CultureInfo.InvariantCulture)));

    private static ProcessStartInfo Node(params string[] arguments) => new("node", [Path.Combine(s_peers, "bench.js"), .. arguments]);
}
