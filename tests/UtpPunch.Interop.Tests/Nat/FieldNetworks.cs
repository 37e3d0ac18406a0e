using System.Diagnostics;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>Networks that users have (docs/paths.md), in namespaces of the kernel.</summary>
public static class FieldNetworks
{
    private const int ServerSilent = 3;
    private const int NoPath = 4;
    private const int Count = 300_000;

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    [Fact("UDP is blocked: the server is told to be silent, in the time that the peer may take", Timeout = 60, Parallel = true)]
    public static async Task Blocked()
    {
        using var namespaces = await CreateAsync();
        await BlockAsync(namespaces, "meta l4proto udp drop");
        using var tool = ToolProcess.StartWithin(
            namespaces.On(NamespacePair.East), $"punch --rendezvous {NamespacePair.West}:3478 --room r --secret correct-horse-battery --connect-timeout 60 --json");
        await tool.FailAsync(ServerSilent, s_timeout);
        var punched = await tool.EventAsync("punched");
        Check.Equal("ServerSilent", punched.GetProperty("stage").GetString());
        Check.Equal(7, (int)punched.GetProperty("elapsedMs").GetDouble() / 1000);
    }

    [Fact("only UDP to port 443 passes: by a second server at 443 the peers are introduced, and both learn why there is no path", Timeout = 90, Parallel = true)]
    public static async Task OnlyOnePort()
    {
        using var namespaces = await CreateAsync();
        await BlockAsync(namespaces, "udp dport != 443 drop");
        using var first = await ServeAsync(namespaces, 3478);
        using var second = await ServeAsync(namespaces, 443);
        var punch = $"punch --rendezvous {NamespacePair.West}:3478 --rendezvous {NamespacePair.West}:443 --room r --secret correct-horse-battery --connect-timeout 15 --json";
        using var behind = ToolProcess.StartWithin(namespaces.On(NamespacePair.East), punch);
        using var open = ToolProcess.StartWithin(namespaces.On(NamespacePair.West), punch);
        await behind.FailAsync(NoPath, s_timeout);
        await open.FailAsync(NoPath, s_timeout);

        // The server at 443 has introduced them: a peer that was not introduced learns `NoPeer`.
        Check.Equal("NotHeard", (await behind.EventAsync("punched")).GetProperty("stage").GetString());
        Check.Equal("NothingHeard", (await open.EventAsync("punched")).GetProperty("stage").GetString());
    }

    [Fact("two uplinks: a listener answers by the one that was asked, where only its own address passes", Timeout = 60, Parallel = true)]
    [CarriesStreams]
    public static async Task TwoUplinks()
    {
        using var namespaces = await CreateAsync();
        var west = namespaces.On(NamespacePair.West);
        var east = namespaces.On(NamespacePair.East);
        await OtherTool.RunAsync("ip", $"link add second netns {west[^1]} type veth peer name second netns {east[^1]}".Split(' '));

        // The other end is the internet: it is reached by both uplinks, at an address that is in neither network.
        await InAsync(west, "ip link set second up", "ip address add 198.51.100.1/24 dev second",
            $"ip route add default via {NamespacePair.East}", "ip route add default via 198.51.100.2 table 2", "ip rule add from 198.51.100.1 table 2");
        await InAsync(east, "ip link set second up", "ip address add 198.51.100.2/24 dev second", "ip address add 203.0.113.9/32 dev lo");
        await InAsync(east, "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.second.rp_filter=0",
            "nft add table ip ingress", "nft add chain ip ingress input { type filter hook input priority 0 ; }",
            $"nft add rule ip ingress input iifname {NamespacePair.Cable} ip saddr != {NamespacePair.West} drop",
            "nft add rule ip ingress input iifname second ip saddr != 198.51.100.1 drop");
        foreach (var address in new[] { NamespacePair.West, "198.51.100.1" })
        {
            using var listener = ToolProcess.StartWithin(west, "cat --listen");
            var port = (await listener.WhereAsync()).Port;
            using var dialler = ToolProcess.StartWithin(east, $"cat {address} {port} --bind 203.0.113.9:0");
            await Task.WhenAll(listener.SayAsync(PeerNoise.Bytes(OurSeed, Count)), dialler.SayAsync(PeerNoise.Bytes(TheirSeed, Count)));
            Check.Equal(Of(OurSeed, Count), await dialler.DigestAsync());
            Check.Equal(Of(TheirSeed, Count), await listener.DigestAsync());
        }
    }

    private static async Task<NamespacePair> CreateAsync()
    {
        Skip.Unless(OtherTool.Find("nft") is not null, "needs nft of nftables");
        return await NamespacePair.CreateAsync();
    }

    private static async Task<ToolProcess> ServeAsync(NamespacePair namespaces, int port)
    {
        var server = ToolProcess.StartWithin(
            namespaces.On(NamespacePair.West), $"rendezvous --bind {NamespacePair.West}:{port} --bind {NamespacePair.West}:{port + 1000} --json");
        Check.That(await server.ListensAsync(), "the server listens");
        return server;
    }

    /// <summary>What leaves the host at <see cref="NamespacePair.East"/>.</summary>
    private static Task BlockAsync(NamespacePair namespaces, string rule) => InAsync(
        namespaces.On(NamespacePair.East),
        "nft add table ip block",
        "nft add chain ip block output { type filter hook output priority 0 ; }",
        $"nft add rule ip block output {rule}");

    private static async Task InAsync(string[] within, params string[] commands)
    {
        foreach (var command in commands)
        {
            await OtherTool.RunAsync(within[0], [.. within[1..], .. command.Split(' ')]);
        }
    }
}
