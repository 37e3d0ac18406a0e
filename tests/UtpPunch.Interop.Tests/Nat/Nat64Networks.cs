using System.Diagnostics;
using System.Text;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>
/// Network namespaces of the kernel: a host in the open that has IPv4 only, one behind a NAT, and one in a network with IPv6 only, whose router is
/// a NAT64 (tayga, and a NAT of the kernel) and a DNS64 (unbound). They are removed with this object.
/// </summary>
internal sealed class Nat64Networks : IDisposable
{
    public const string Missing = "needs Linux, root, `ip`, `nft`, tayga and unbound (packages iproute2, nftables, tayga and unbound)";

    /// <summary>The address of the host in the open, and its name, which has no IPv6 address.</summary>
    public const string Open = "198.51.100.1";

    public const string OpenName = "open.example";

    /// <summary>The prefix of the NAT64.</summary>
    public const string Prefix = "2001:db8:64::";

    private static readonly TimeSpan s_start = TimeSpan.FromSeconds(10);
    private static readonly string[] s_names = ["o", "n", "h", "b", "p"];
    private static int s_count;

    private readonly string _name = $"utpn{Environment.ProcessId}x{Interlocked.Increment(ref s_count)}";
    private readonly string _folder = Directory.CreateTempSubdirectory("nat64").FullName;
    private readonly List<Process> _daemons = [];

    private Nat64Networks()
    {
    }

    /// <summary>The prefix of a command that is to run on one of the hosts. The process keeps its id.</summary>
    public string[] OnOpenHost => On("o");

    public string[] OnIPv6Host => On("h");

    public string[] OnIPv4Host => On("p");

    /// <summary>Creates the namespaces; skips the test where that is not possible.</summary>
    public static async Task<Nat64Networks> CreateAsync()
    {
        var isPossible = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess
            && OtherTool.Find("ip") is not null && OtherTool.Find("nft") is not null && Find("tayga") is not null && Find("unbound") is not null;
        Skip.Unless(isPossible, Missing);
        var networks = new Nat64Networks();
        try
        {
            await networks.BuildAsync();
            return networks;
        }
        catch
        {
            networks.Dispose();
            throw;
        }
    }

    /// <summary>The host with IPv6 only gets a CLAT (464XLAT, RFC 6877): a device with an IPv4 address, and packets of at most 1420 bytes. What leaves by
    /// it is translated to IPv6 there, and back by the NAT64.</summary>
    public async Task AddClatAsync()
    {
        const string Translated = "2001:db8:1::c1a7";
        var folder = Directory.CreateDirectory(Path.Combine(_folder, "clat")).FullName;
        var file = Path.Combine(folder, "tayga.conf");
        await File.WriteAllTextAsync(file, $"""
            tun-device clat
            ipv4-addr 192.0.0.2
            ipv6-addr 2001:db8:1::c1a8
            prefix {Prefix}/96
            map 192.0.0.1 {Translated}
            data-dir {folder}

            """);
        await RunAsync("h", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1");
        await RunAsync("h", Find("tayga")!, "-c", file, "--mktun");
        await InAsync("h", "link set clat mtu 1420 up");
        await InAsync("h", "address add 192.0.0.1/32 dev clat");
        await InAsync("h", "route add default dev clat");
        await InAsync("h", $"route add {Translated}/128 dev clat");
        await InAsync("n", $"route add {Translated}/128 via fe80::2 dev lan");
        await ServeDeviceAsync("h", "clat", file);
    }

    /// <summary>The host with IPv6 only is in the network behind the other NAT, which has IPv4 only.</summary>
    public async Task MoveAsync()
    {
        await InAsync("h", "link delete eth0");
        await IpAsync($"link add home netns {_name}h type veth peer name second netns {_name}b");
        await InAsync("b", "address add 192.168.3.1/24 dev second");
        await InAsync("b", "link set second up");
        await InAsync("h", "address add 192.168.3.2/24 dev home");
        await InAsync("h", "link set home up");
        await InAsync("h", "route add default via 192.168.3.1");
    }

    public void Dispose()
    {
        foreach (var daemon in _daemons)
        {
            daemon.Kill();
            daemon.WaitForExit();
            daemon.Dispose();
        }

        foreach (var name in s_names.Where(name => File.Exists($"/run/netns/{_name}{name}")))
        {
            IpAsync($"netns delete {_name}{name}").GetAwaiter().GetResult();
        }

        if (Directory.Exists(ResolverFolder))
        {
            Directory.Delete(ResolverFolder, recursive: true);
        }

        Directory.Delete(_folder, recursive: true);
    }

    // `ip netns exec` mounts what is in it over the files in /etc.
    private string ResolverFolder => $"/etc/netns/{_name}h";

    private string[] On(string name) => ["ip", "netns", "exec", $"{_name}{name}"];

    private static string? Find(string program) => OtherTool.Find(program) ?? (File.Exists($"/usr/sbin/{program}") ? $"/usr/sbin/{program}" : null);

    private async Task BuildAsync()
    {
        foreach (var name in s_names)
        {
            await IpAsync($"netns add {_name}{name}");
            await InAsync(name, "link set lo up");
            if (name is not ("n" or "h"))
            {
                await RunAsync(name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1");
            }
        }

        await InAsync("o", "link add name switch type bridge");
        await InAsync("o", "link set switch up");
        await InAsync("o", $"address add {Open}/24 dev switch");
        await NatAsync("n", "198.51.100.11");
        await NatAsync("b", "198.51.100.12");
        await CableAsync("b", "p");
        await InAsync("b", "address add 192.168.2.1/24 dev lan");
        await InAsync("p", "address add 192.168.2.2/24 dev eth0");
        await InAsync("p", "route add default via 192.168.2.1");
        await CableAsync("n", "h");
        await InAsync("n", "address add fe80::1/64 dev lan nodad");
        await InAsync("n", "address add 2001:db8:1::1/64 dev lan nodad");
        await InAsync("h", "address add fe80::2/64 dev eth0 nodad");
        await InAsync("h", "address add 2001:db8:1::2/64 dev eth0 nodad");
        await InAsync("h", "route add default via fe80::1 dev eth0");
        await RunAsync("n", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1");
        await TranslateAsync();
        await ServeNamesAsync();
    }

    /// <summary>A NAT of type 0 (docs/natlab.md).</summary>
    private async Task NatAsync(string name, string outside)
    {
        await IpAsync($"link add wan netns {_name}{name} type veth peer name {name} netns {_name}o");
        await InAsync("o", $"link set dev {name} master switch");
        await InAsync("o", $"link set dev {name} up");
        await InAsync(name, "link set wan up");
        await InAsync(name, $"address add {outside}/24 dev wan");
        const string Table = """
            table ip nat {
              chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; }
              chain input { type filter hook input priority 0; iifname "wan" meta l4proto udp drop; }
            }
            """;
        await RunAsync(name, "nft", Table);
        await RunAsync(name, "sysctl", "-qw", "net.ipv4.ip_forward=1");
    }

    private async Task CableAsync(string router, string host)
    {
        await IpAsync($"link add lan netns {_name}{router} type veth peer name eth0 netns {_name}{host}");
        foreach (var (place, device) in new[] { (router, "lan"), (host, "eth0") })
        {
            // The link-local address that the kernel would choose cannot be used for a second.
            await InAsync(place, $"link set {device} addrgenmode none");
            await InAsync(place, $"link set {device} up");
        }
    }

    // tayga gives each host an IPv4 address, which the NAT translates.
    private async Task TranslateAsync()
    {
        var file = Path.Combine(_folder, "tayga.conf");
        await File.WriteAllTextAsync(file, $"""
            tun-device nat64
            ipv4-addr 192.168.255.1
            ipv6-addr 2001:db8:1:64::1
            prefix {Prefix}/96
            dynamic-pool 192.168.255.0/24
            data-dir {_folder}

            """);
        await RunAsync("n", Find("tayga")!, "-c", file, "--mktun");
        await InAsync("n", "link set nat64 up");
        await InAsync("n", "route add 192.168.255.0/24 dev nat64");
        await InAsync("n", $"route add {Prefix}/96 dev nat64");
        await ServeDeviceAsync("n", "nat64", file);
    }

    private async Task ServeDeviceAsync(string place, string device, string file)
    {
        var daemon = Start(place, Find("tayga")!, "-c", file, "-d");
        _ = daemon.StandardError.ReadToEndAsync();
        var clock = Stopwatch.StartNew();
        while (!(await OtherTool.RunAsync("ip", "-n", _name + place, "link", "show", device)).Output.Contains("LOWER_UP", StringComparison.Ordinal))
        {
            Check.That(!daemon.HasExited && clock.Elapsed < s_start, "tayga serves its device");
            await Task.Delay(20);
        }
    }

    private async Task ServeNamesAsync()
    {
        var zone = Path.Combine(_folder, "zone");
        await File.WriteAllTextAsync(zone, $"""
            $ORIGIN .
            $TTL 60
            @ IN SOA ns.example. root.example. 1 3600 600 86400 60
            @ IN NS ns.example.
            ns.example. IN A 192.0.2.53
            ipv4only.arpa. IN A 192.0.0.170
            ipv4only.arpa. IN A 192.0.0.171
            {OpenName}. IN A {Open}

            """);
        var file = Path.Combine(_folder, "unbound.conf");
        await File.WriteAllTextAsync(file, $"""
            server:
              directory: ""
              chroot: ""
              username: ""
              pidfile: ""
              use-syslog: no
              logfile: ""
              do-daemonize: no
              interface: 2001:db8:1::1
              access-control: ::/0 allow
              module-config: "dns64 iterator"
              dns64-prefix: {Prefix}/96
            auth-zone:
              name: "."
              zonefile: "{zone}"
              for-downstream: no
              for-upstream: yes
            remote-control:
              control-enable: no

            """);
        Directory.CreateDirectory(ResolverFolder);
        await File.WriteAllTextAsync(Path.Combine(ResolverFolder, "resolv.conf"), "nameserver 2001:db8:1::1\n");
        var daemon = Start("n", Find("unbound")!, "-d", "-c", file);
        using var limit = new CancellationTokenSource(s_start);
        var lines = new StringBuilder();
        while (await daemon.StandardError.ReadLineAsync(limit.Token) is { } line)
        {
            lines.AppendLine(line);
            if (line.Contains("start of service", StringComparison.Ordinal))
            {
                _ = daemon.StandardError.ReadToEndAsync(CancellationToken.None);
                return;
            }
        }

        throw new InvalidOperationException($"unbound ended: {lines}");
    }

    private Process Start(string place, string program, params string[] arguments)
    {
        string[] words = [.. On(place), program, .. arguments];
        var daemon = Process.Start(new ProcessStartInfo(words[0], words[1..]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        _ = daemon.StandardOutput.ReadToEndAsync();
        _daemons.Add(daemon);
        return daemon;
    }

    private Task RunAsync(string name, params string[] words)
    {
        string[] all = [.. On(name), .. words];
        return OtherTool.RunAsync(all[0], all[1..]);
    }

    private Task InAsync(string name, string words) => IpAsync($"-n {_name}{name} {words}");

    private static Task IpAsync(string words) => OtherTool.RunAsync("ip", words.Split(' '));
}
