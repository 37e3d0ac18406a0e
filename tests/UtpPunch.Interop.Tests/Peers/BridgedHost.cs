using System.Diagnostics;
using System.Net;
using UtpPunch.Protocol;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>A host with ten bridges, as container runtimes make them, in a namespace of the kernel.</summary>
public static class BridgedHost
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    [Fact("a host with ten bridges of containers offers the address of its default route first, at most eight, and none of a bridge", Timeout = 60)]
    public static async Task Offer()
    {
        var isAllowed = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && OtherTool.Find("ip") is not null;
        Skip.Unless(isAllowed, "needs Linux, root, and `ip` of iproute2");
        var (host, router) = ($"utpb{Environment.ProcessId}h", $"utpb{Environment.ProcessId}r");
        try
        {
            await IpAsync($"netns add {host}");
            await IpAsync($"netns add {router}");
            await IpAsync($"-n {host} link set lo up");
            for (var index = 0; index < 10; index++)
            {
                var name = index == 0 ? "docker0" : $"br-{index:x12}";
                await IpAsync($"-n {host} link add name {name} type bridge");
                await IpAsync($"-n {host} address add 172.{17 + index}.0.1/16 dev {name}");
                await IpAsync($"-n {host} link set {name} up");
            }

            await IpAsync($"link add wan netns {host} type veth peer name lan netns {router}");
            await IpAsync($"-n {router} link set lan up");
            await IpAsync($"-n {host} link set wan up");
            await IpAsync($"-n {host} address add 192.168.7.2/24 dev wan");
            await IpAsync($"-n {host} address add 192.168.8.2/24 dev wan");
            await IpAsync($"-n {host} route add default via 192.168.7.1");

            var hosts = await OfferedAsync(host);
            Check.Equal("192.168.7.2", hosts[0]);
            Check.That(hosts.Length <= 8, $"{hosts.Length} hosts");
            Check.That(!Array.Exists(hosts, it => it.StartsWith("172.", StringComparison.Ordinal)), string.Join(" ", hosts));

            // Without the router, only the bridges are left out.
            await IpAsync($"-n {host} route delete default");
            Check.Equal("192.168.7.2 192.168.8.2", string.Join(" ", (await OfferedAsync(host)).Order(StringComparer.Ordinal)));
        }
        finally
        {
            foreach (var name in new[] { host, router }.Where(name => File.Exists($"/run/netns/{name}")))
            {
                await IpAsync($"netns delete {name}");
            }
        }
    }

    /// <summary>The IPv4 hosts of an offer that a process makes there.</summary>
    private static async Task<string[]> OfferedAsync(string name)
    {
        var sample = AppContext.BaseDirectory.Replace(
            Path.Combine("tests", "UtpPunch.Interop.Tests"), Path.Combine("samples", "OwnSignalling"), StringComparison.Ordinal);
        using var process = Process.Start(new ProcessStartInfo("ip", ["netns", "exec", name, "dotnet", "exec", Path.Combine(sample, "OwnSignalling.dll"), "offer"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        try
        {
            var text = await process.StandardOutput.ReadLineAsync().WaitAsync(s_timeout);
            var offer = OfferModule.read(new Borrowed(OfferEnvelope.Parse(text!).Contents.ToArray())).Value;
            return [.. offer.Hosts.Where(EndpointModule.isIPv4).Select(it => Addresses.ToIPEndPoint(it).Address.ToString())];
        }
        finally
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync().WaitAsync(s_timeout);
        }
    }

    private static Task IpAsync(string words) => OtherTool.RunAsync("ip", words.Split(' '));
}
