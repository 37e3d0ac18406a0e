using System.Globalization;
using System.Net;
using System.Text.Json;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp map` behind a router of the kernel with miniupnpd, by each protocol.</summary>
public static class PortMappings
{
    private const int Port = 7777;
    private const int Interrupted = 130;

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    public static IEnumerable<object> Protocols => ["pcp", "nat-pmp", "upnp"];

    public static IEnumerable<object> Transports => ["linux", "managed"];

    [Fact("by {0} a port is mapped, reached from outside, and not mapped any more within a second after Ctrl-C", Timeout = 60)]
    [ForEach(typeof(PortMappings), nameof(Protocols))]
    public static async Task Mapped(string protocol)
    {
        using var lab = await RouterLab.CreateAsync();
        using var tool = ToolProcess.StartWithin(lab.OnHost, $"map --json --protocol {protocol} --bind 0.0.0.0:{Port}");
        await IsMappedAsync(tool, $"{RouterLab.Outside}:{Port}", protocol);
        await lab.UntilMappedAsync(Port, true, s_timeout);
        await IsReachedAsync(lab, RouterLab.Outside);

        tool.Interrupt();
        var gone = await lab.UntilMappedAsync(Port, false, s_timeout);
        Check.That(gone < TimeSpan.FromSeconds(1), $"deleted after {gone.TotalMilliseconds:F0} ms");
        Check.Equal(Interrupted, await tool.ExitAsync());
    }

    [Fact("{0}: a node on all addresses maps its port, by PCP", Timeout = 60)]
    [ForEach(typeof(PortMappings), nameof(Transports))]
    public static async Task AllAddresses(string transport)
    {
        using var lab = await RouterLab.CreateAsync();
        using var tool = ToolProcess.StartWithin([.. lab.OnHost, "env", $"UTP_TRANSPORT={transport}"], "map --json --once");
        await tool.SucceedAsync();
        var mapped = await tool.EventAsync("mapped");
        Check.Equal("Pcp", mapped.GetProperty("protocol").GetString());
        Check.Equal(RouterLab.Outside, $"{IPEndPoint.Parse(mapped.GetProperty("external").GetString()!).Address}");
    }

    [Fact("upnpc lists what was mapped by UPnP", Timeout = 60)]
    public static async Task Listed()
    {
        Skip.Unless(OtherTool.Find("upnpc") is not null, "needs upnpc of miniupnpc");
        using var lab = await RouterLab.CreateAsync();
        using var tool = ToolProcess.StartWithin(lab.OnHost, $"map --json --protocol upnp --bind 0.0.0.0:{Port}");
        await IsMappedAsync(tool, $"{RouterLab.Outside}:{Port}", "upnp");
        var list = await RouterLab.RunAsync(lab.OnHost, "upnpc -m eth0 -l");
        Check.That(list.Contains($"UDP  {Port}->{RouterLab.Host}:{Port}", StringComparison.Ordinal), list);
    }

    [Fact("without PCP and NAT-PMP the port is mapped by UPnP after a second", Timeout = 60)]
    public static async Task FallsBack()
    {
        using var lab = await RouterLab.CreateAsync(settings: "enable_natpmp=no");
        using var tool = ToolProcess.StartWithin(lab.OnHost, $"map --json --bind 0.0.0.0:{Port} --once");
        await tool.SucceedAsync();
        await IsMappedAsync(tool, $"{RouterLab.Outside}:{Port}", "upnp");
    }

    [Fact("a daemon that was restarted maps the port again at the next renewal, by {0}", Timeout = 60)]
    [ForEach(typeof(PortMappings), nameof(Protocols))]
    public static async Task Restarted(string protocol)
    {
        using var lab = await RouterLab.CreateAsync();
        using var tool = ToolProcess.StartWithin(lab.OnHost, $"map --json --protocol {protocol} --bind 0.0.0.0:{Port} --lifetime 8");
        await IsMappedAsync(tool, $"{RouterLab.Outside}:{Port}", protocol);
        await lab.UntilMappedAsync(Port, true, s_timeout);
        await lab.StopDaemonAsync();
        await lab.UntilMappedAsync(Port, false, s_timeout);
        await lab.StartDaemonAsync("enable_natpmp=yes");
        await lab.UntilMappedAsync(Port, true, s_timeout);
        await IsReachedAsync(lab, RouterLab.Outside);
    }

    [Fact("a router whose outside address is a carrier's refuses, with the reason", Timeout = 60)]
    public static async Task CarrierGrade()
    {
        using var lab = await RouterLab.CreateAsync(outside: "100.64.7.1");
        using var tool = ToolProcess.StartWithin(lab.OnHost, "map --json");
        var error = await tool.FailAsync(1);
        var failure = await tool.EventAsync("mapped");
        Check.That(!failure.GetProperty("success").GetBoolean());
        Check.Equal("DoubleNat", failure.GetProperty("stage").GetString(), error);
    }

    [Fact("a router without any of the protocols is told to be silent, within 6 s", Timeout = 60)]
    public static async Task Silent()
    {
        using var lab = await RouterLab.CreateAsync(settings: null);
        using var tool = ToolProcess.StartWithin(lab.OnHost, "map --json");
        await tool.FailAsync(1, TimeSpan.FromSeconds(10));
        Check.Equal("GatewaySilent", (await tool.EventAsync("mapped")).GetProperty("stage").GetString());
    }

    [Fact("without a default route there is no gateway", Timeout = 60)]
    public static async Task NoGateway()
    {
        using var namespaces = await NamespacePair.CreateAsync();
        using var tool = ToolProcess.StartWithin(namespaces.On(NamespacePair.West), "map --json");
        await tool.FailAsync(1);
        Check.Equal("GatewayNotFound", (await tool.EventAsync("mapped")).GetProperty("stage").GetString());
    }

    [Fact("a pinhole of IPv6 is opened by {0}, reached from outside, and closed within a second", Timeout = 60)]
    [ForEach(typeof(PortMappings), nameof(PinholeProtocols))]
    public static async Task Pinhole(string protocol)
    {
        using var lab = await RouterLab.CreateAsync();
        using var tool = ToolProcess.StartWithin(lab.OnHost, $"map --json --ipv6 --protocol {protocol} --bind [::]:{Port}");
        await IsMappedAsync(tool, $"[{RouterLab.HostIPv6}]:{Port}", protocol);
        await lab.UntilMappedAsync(Port, true, s_timeout);
        await IsReachedAsync(lab, RouterLab.HostIPv6);
        tool.Terminate();
        var gone = await lab.UntilMappedAsync(Port, false, s_timeout);
        Check.That(gone < TimeSpan.FromSeconds(1), $"closed after {gone.TotalMilliseconds:F0} ms");
    }

    public static IEnumerable<object> PinholeProtocols => ["pcp", "upnp"];

    private static async Task IsMappedAsync(ToolProcess tool, string external, string protocol)
    {
        JsonElement mapped = await tool.EventAsync("mapped");
        Check.That(mapped.GetProperty("success").GetBoolean(), $"{mapped}");
        Check.Equal(external, mapped.GetProperty("external").GetString());
        var name = protocol.Replace("-", "", StringComparison.Ordinal).ToUpper(CultureInfo.InvariantCulture);
        Check.Equal(name, mapped.GetProperty("protocol").GetString()!.ToUpper(CultureInfo.InvariantCulture));
        Check.That(!mapped.GetProperty("behindFurtherNat").GetBoolean());
    }

    // The mapped node does not listen: its RESET shows that a SYN has reached it, and that the answer came back.
    private static async Task IsReachedAsync(RouterLab lab, string address)
    {
        using var dialler = ToolProcess.StartWithin(lab.OnOutside, $"cat {address} {Port}");
        var error = await dialler.FailAsync(1);
        Check.That(error.Contains("refused the connection", StringComparison.Ordinal), error);
    }
}
