using System.Diagnostics;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>
/// Some routers and devices drop what the kernel has not yet cut into packets: they see one datagram of up to 64 KiB. Single packets pass.
/// quic-go#4394, quic-go#3911.
/// </summary>
public static class LostTrains
{
    private const int Count = 8_000_000;

    [Fact("eight megabytes through a filter that drops what is longer than 1500 bytes as it sees it take two seconds more at most", Timeout = 120, Over = TransportUnderTest.Linux)]
    [CarriesStreams]
    public static async Task ThroughAFilter()
    {
        Skip.Unless(OtherTool.Find("nft") is not null, "needs `nft` of nftables");
        using var namespaces = await NamespacePair.CreateAsync();
        var clean = await TransferAsync(namespaces);
        foreach (var address in new[] { NamespacePair.West, NamespacePair.East })
        {
            string[] table = ["table", "inet", "short", "{ chain in { type filter hook prerouting priority -300; meta length gt 1500 drop; } ; }"];
            var nft = namespaces.On(address);
            await OtherTool.RunAsync(nft[0], [.. nft[1..], "nft", string.Join(' ', table)]);
        }

        var filtered = await TransferAsync(namespaces);

        // Without the remedy 15 to 28 s.
        Check.That(filtered < clean + TimeSpan.FromSeconds(2), $"{filtered.TotalSeconds:F2} s are at most 2 s more than {clean.TotalSeconds:F2} s");
    }

    private static async Task<TimeSpan> TransferAsync(NamespacePair namespaces)
    {
        using var listener = ToolProcess.StartWithin(namespaces.On(NamespacePair.West), $"cat --listen --bind {NamespacePair.West}:0");
        await listener.WhereAsync();
        listener.EndInput();
        var clock = Stopwatch.StartNew();
        using var dialler = ToolProcess.StartWithin(namespaces.On(NamespacePair.East), $"cat {NamespacePair.West} {listener.EndPoint.Port}");
        await dialler.SayAsync(PeerNoise.Bytes(OurSeed, Count));
        Check.Equal(Of(OurSeed, Count), await listener.DigestAsync());
        return clock.Elapsed;
    }
}
