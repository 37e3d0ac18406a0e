using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>
/// A home network of the kernel: a host, a router with NAT and miniupnpd, and a host outside, each in a network namespace. They are isolated
/// from the machine, so that every port is free, and end with this object.
/// </summary>
internal sealed class RouterLab : IDisposable
{
    public const string Host = "192.168.1.2";
    public const string HostIPv6 = "2001:db8:1::2";
    public const string Router = "192.168.1.1";

    /// <summary>miniupnpd 2.3.1 refuses to work with an outside address that is reserved for documentation or benchmarks.</summary>
    public const string Outside = "192.0.1.1";

    public const string Missing = "needs Linux, root, `ip`, `nft` and miniupnpd with nftables";

    private const string Rules = """
        table inet upnp {
          chain forward { type filter hook forward priority 0; jump m_fwd; iifname wan ip6 nexthdr udp ct state new drop; }
          chain pre { type nat hook prerouting priority -100; jump m_pre; }
          chain post { type nat hook postrouting priority 100; jump m_post; oifname wan meta nfproto ipv4 masquerade; }
          chain m_fwd { }
          chain m_pre { }
          chain m_post { }
        }
        """;

    private static int s_count;

    private readonly string _name = $"utp{Environment.ProcessId}r{Interlocked.Increment(ref s_count)}";
    private readonly string _folder = Directory.CreateTempSubdirectory("utp-router").FullName;
    private readonly List<Process> _daemons = [];
    private int _configurations;

    private RouterLab()
    {
    }

    /// <summary>Creates the network, with a daemon that maps ports; skips the test where that is not possible.</summary>
    /// <param name="outside">The router's outside address.</param>
    /// <param name="settings">Further lines of the daemon's configuration, or none to start no daemon.</param>
    public static async Task<RouterLab> CreateAsync(string outside = Outside, string? settings = "enable_natpmp=yes")
    {
        var isAllowed = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess;
        Skip.Unless(isAllowed && OtherTool.Find("ip") is not null && OtherTool.Find("nft") is not null && Daemon is not null, Missing);
        var lab = new RouterLab();
        try
        {
            await lab.BuildAsync(outside);
            if (settings is not null)
            {
                await lab.StartDaemonAsync(settings);
            }

            return lab;
        }
        catch
        {
            lab.Dispose();
            throw;
        }
    }

    /// <summary>The prefix of a command that is to run on the host behind the router.</summary>
    public string[] OnHost => On("h");

    /// <summary>The prefix of a command that is to run outside.</summary>
    public string[] OnOutside => On("o");

    /// <summary>The prefix of a command that is to run on the router.</summary>
    public string[] OnRouter => On("r");

    /// <summary>Starts the daemon, and waits until it serves the network.</summary>
    public async Task StartDaemonAsync(string settings)
    {
        var file = Path.Combine(_folder, $"{++_configurations}.conf");
        await File.WriteAllTextAsync(file, $"""
            ext_ifname=wan
            listening_ip=lan
            secure_mode=yes
            upnp_table_name=upnp
            upnp_nat_table_name=upnp
            upnp_forward_chain=m_fwd
            upnp_nat_chain=m_pre
            upnp_nat_postrouting_chain=m_post
            uuid=00000000-0000-4000-8000-000000000001
            {settings}
            allow 1024-65535 192.168.1.0/24 1024-65535
            deny 0-65535 0.0.0.0/0 0-65535

            """);
        string[] command = [.. OnRouter, "setpriv", "--pdeathsig", "KILL", Daemon!, "-d", "-f", file, "-P", Path.Combine(_folder, "pid")];
        var daemon = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _daemons.Add(daemon);
        await ServesAsync(daemon);
    }

    /// <summary>Ends the daemon at once, and forgets what it has mapped, as a router does that restarts.</summary>
    public async Task StopDaemonAsync()
    {
        foreach (var daemon in _daemons)
        {
            daemon.Kill();
            await daemon.WaitForExitAsync();
        }

        foreach (var chain in new[] { "m_fwd", "m_pre", "m_post" })
        {
            await RunAsync(OnRouter, $"nft flush chain inet upnp {chain}");
        }
    }

    /// <summary>The mappings and pinholes of the router, as nft lists them.</summary>
    public async Task<string> MappingsAsync() =>
        await RunAsync(OnRouter, "nft list chain inet upnp m_pre") + await RunAsync(OnRouter, "nft list chain inet upnp m_fwd");

    /// <summary>Waits until the router has a mapping or pinhole of a port, or none.</summary>
    /// <returns>How long it took.</returns>
    public async Task<TimeSpan> UntilMappedAsync(int port, bool isMapped, TimeSpan timeout)
    {
        var started = Stopwatch.GetTimestamp();
        while ((await MappingsAsync()).Contains($"dport {port}", StringComparison.Ordinal) != isMapped)
        {
            Check.That(Stopwatch.GetElapsedTime(started) < timeout, $"port {port} is {(isMapped ? "" : "not ")}mapped within {timeout}");
            await Task.Delay(20);
        }

        return Stopwatch.GetElapsedTime(started);
    }

    /// <summary>Runs a program of the system, given as one line, in a namespace.</summary>
    public static async Task<string> RunAsync(string[] within, string words) =>
        (await OtherTool.RunAsync(within[0], [.. within[1..], .. words.Split(' ')])).Output;

    public void Dispose()
    {
        foreach (var daemon in _daemons)
        {
            daemon.Kill();
            daemon.WaitForExit();
            daemon.Dispose();
        }

        foreach (var place in new[] { "h", "r", "o" }.Where(place => File.Exists($"/run/netns/{_name}{place}")))
        {
            IpAsync($"netns delete {_name}{place}").GetAwaiter().GetResult();
        }

        Directory.Delete(_folder, recursive: true);
    }

    private static string? Daemon { get; } =
        OtherTool.Find("miniupnpd") ?? (File.Exists("/usr/sbin/miniupnpd") ? "/usr/sbin/miniupnpd" : null);

    private string[] On(string place) => ["ip", "netns", "exec", $"{_name}{place}"];

    private async Task BuildAsync(string outside)
    {
        foreach (var place in new[] { "h", "r", "o" })
        {
            await IpAsync($"netns add {_name}{place}");
            await IpAsync($"-n {_name}{place} link set lo up");
        }

        await CableAsync("lan", "h", $"{Router}/24", "2001:db8:1::1/64", $"{Host}/24", $"{HostIPv6}/64");
        await CableAsync("wan", "o", $"{outside}/24", "2001:db8:2::1/64", $"{outside[..outside.LastIndexOf('.')]}.9/24", "2001:db8:2::9/64");
        await IpAsync($"-n {_name}h route add default via {Router}");
        await IpAsync($"-n {_name}h route add default via fe80::1 dev eth0");
        await IpAsync($"-n {_name}o route add 2001:db8:1::/64 via 2001:db8:2::1");
        await RunAsync(OnRouter, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        var rules = Path.Combine(_folder, "rules");
        await File.WriteAllTextAsync(rules, Rules, Encoding.ASCII);
        await RunAsync(OnRouter, $"nft -f {rules}");
    }

    /// <summary>A device of the router, and `eth0` of another namespace, with their addresses.</summary>
    private async Task CableAsync(string device, string place, string near, string nearIPv6, string far, string farIPv6)
    {
        await IpAsync($"link add {device} netns {_name}r type veth peer name eth0 netns {_name}{place}");
        foreach (var (where, face, own, ownIPv6, linkLocal) in new[]
        {
            ($"{_name}r", device, near, nearIPv6, "fe80::1/64"), ($"{_name}{place}", "eth0", far, farIPv6, "fe80::2/64"),
        })
        {
            // The link-local address that the kernel would choose cannot be used for a second.
            await IpAsync($"-n {where} link set {face} addrgenmode none");
            await IpAsync($"-n {where} link set {face} up");
            await IpAsync($"-n {where} address add {own} dev {face}");
            await IpAsync($"-n {where} address add {ownIPv6} dev {face} nodad");
            await IpAsync($"-n {where} address add {linkLocal} dev {face} nodad");
        }
    }

    // Its log tells when its last socket, that of NAT-PMP or HTTP, is open.
    private static async Task ServesAsync(Process daemon)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var lines = new StringBuilder();
        var reader = daemon.StandardError;
        while (await reader.ReadLineAsync(limit.Token) is { } line)
        {
            lines.AppendLine(line);
            if (line.Contains("HTTP IPv6 address given", StringComparison.Ordinal))
            {
                _ = reader.ReadToEndAsync(CancellationToken.None);
                _ = daemon.StandardOutput.ReadToEndAsync(CancellationToken.None);
                return;
            }
        }

        throw new InvalidOperationException($"miniupnpd ended: {lines}");
    }

    private static Task IpAsync(string words) => OtherTool.RunAsync("ip", words.Split(' '));
}
