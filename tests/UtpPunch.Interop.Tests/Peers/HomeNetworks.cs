using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>
/// Network namespaces of the kernel: two hosts in the open, one of which may get another address, two homes behind NATs that take random ports,
/// and a host that is in the first home and may move to the other one. They are removed with this object.
/// </summary>
internal sealed class HomeNetworks : IDisposable
{
    /// <summary>The address of the host in the open.</summary>
    public const string Open = "192.0.2.1";

    /// <summary>The address of the other one, which stays.</summary>
    public const string Steady = "192.0.2.3";

    private static readonly string[] s_names = ["o", "s", "a", "b", "h"];
    private static int s_count;

    private readonly string _name = $"utph{Environment.ProcessId}x{Interlocked.Increment(ref s_count)}";

    private HomeNetworks()
    {
    }

    /// <summary>The prefix of a command that is to run on the host in the open, or on the one that moves. The process keeps its id.</summary>
    public string[] OnOpenHost => ["ip", "netns", "exec", $"{_name}o"];

    public string[] OnSteadyHost => ["ip", "netns", "exec", $"{_name}s"];

    public string[] OnMovingHost => ["ip", "netns", "exec", $"{_name}h"];

    /// <summary>Creates the namespaces; skips the test where that is not allowed.</summary>
    public static async Task<HomeNetworks> CreateAsync()
    {
        var isAllowed = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && OtherTool.Find("ip") is not null && OtherTool.Find("nft") is not null;
        Skip.Unless(isAllowed, "needs Linux, root, `ip` of iproute2, and `nft` of nftables");
        var networks = new HomeNetworks();
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

    /// <summary>The NAT of the first home forgets its mappings, and takes other ports: the kernel drops those of an address that is
    /// removed.</summary>
    public async Task RebindAsync()
    {
        await InAsync("a", "address delete 192.0.2.11/24 dev wan");
        await InAsync("a", "address add 192.0.2.11/24 dev wan");
    }

    /// <summary>The host gets another address in the same home, and loses the one that it has.</summary>
    public async Task RenumberAsync()
    {
        await InAsync("h", "address delete 192.168.1.2/24 dev home");
        await InAsync("h", "address add 192.168.1.3/24 dev home");
        await InAsync("h", "route add default via 192.168.1.1");
    }

    /// <summary>The host in the open gets another address, and loses the one that it has.</summary>
    public async Task RenumberOpenAsync()
    {
        await InAsync("o", $"address delete {Open}/24 dev switch");
        await InAsync("o", "address add 192.0.2.21/24 dev switch");
    }

    /// <summary>The host is in the other home, with another interface.</summary>
    public async Task MoveAsync()
    {
        await InAsync("h", "link delete home");
        await HomeAsync("b", "192.168.2");
    }

    /// <summary>The host gets a second way out, which its default route prefers: a VPN.</summary>
    public async Task ConnectSecondAsync()
    {
        await IpAsync($"link add vpn netns {_name}h type veth peer name lan netns {_name}b");
        await InAsync("b", "address add 192.168.2.1/24 dev lan");
        await InAsync("b", "link set lan up");
        await InAsync("h", "address add 192.168.2.2/24 dev vpn");
        await InAsync("h", "link set vpn up");
        await InAsync("h", "route replace default via 192.168.2.1");
    }

    /// <summary>The second way out is gone.</summary>
    public async Task DisconnectSecondAsync()
    {
        await InAsync("h", "link delete vpn");
        await InAsync("h", "route add default via 192.168.1.1");
    }

    public void Dispose()
    {
        foreach (var name in s_names.Where(name => File.Exists($"/run/netns/{_name}{name}")))
        {
            IpAsync($"netns delete {_name}{name}").GetAwaiter().GetResult();
        }
    }

    private async Task BuildAsync()
    {
        foreach (var name in s_names)
        {
            await IpAsync($"netns add {_name}{name}");
            await InAsync(name, "link set lo up");
        }

        await InAsync("o", "link add name switch type bridge");
        await InAsync("o", "link set switch up");
        await InAsync("o", $"address add {Open}/24 dev switch");
        await WanAsync("s", Steady);
        await NatAsync("a", "192.0.2.11");
        await NatAsync("b", "192.0.2.12");
        await HomeAsync("a", "192.168.1");
    }

    private async Task WanAsync(string name, string outside)
    {
        await IpAsync($"link add wan netns {_name}{name} type veth peer name {name} netns {_name}o");
        await InAsync("o", $"link set dev {name} master switch");
        await InAsync("o", $"link set dev {name} up");
        await InAsync(name, "link set wan up");
        await InAsync(name, $"address add {outside}/24 dev wan");
    }

    private async Task NatAsync(string name, string outside)
    {
        await WanAsync(name, outside);
        const string Table = "table ip nat { chain post { type nat hook postrouting priority 100; oifname \"wan\" masquerade fully-random; } ; }";
        string[] within = ["netns", "exec", $"{_name}{name}"];
        await OtherTool.RunAsync("ip", [.. within, "nft", Table]);
        await OtherTool.RunAsync("ip", [.. within, "sysctl", "-qw", "net.ipv4.ip_forward=1"]);
    }

    private async Task HomeAsync(string nat, string prefix)
    {
        await IpAsync($"link add home netns {_name}h type veth peer name lan netns {_name}{nat}");
        await InAsync(nat, $"address add {prefix}.1/24 dev lan");
        await InAsync(nat, "link set lan up");
        await InAsync("h", $"address add {prefix}.2/24 dev home");
        await InAsync("h", "link set home up");
        await InAsync("h", $"route add default via {prefix}.1");
    }

    private Task InAsync(string name, string words) => IpAsync($"-n {_name}{name} {words}");

    private static Task IpAsync(string words) => OtherTool.RunAsync("ip", words.Split(' '));
}
