using System.Diagnostics;
using System.Net;

namespace UtpPunch.NatLab.Network;

/// <summary>
/// A NAT64 and a DNS64 for a LAN with IPv6 only, on the router of the LAN: tayga gives each host an IPv4 address, which the router's NAT translates, so
/// that there is a NAT64 of each of the ten types; unbound answers for the name of the rendezvous, which has IPv4 only, and for that by which hosts
/// find the prefix (RFC 7050).
/// </summary>
internal sealed class Nat64 : IDisposable
{
    /// <summary>The name of the rendezvous.</summary>
    public const string ServerName = "rendezvous.example";

    private const string Prefix = "2001:db8:64::/96";

    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(10);

    private readonly string _folder = Directory.CreateTempSubdirectory("natlab").FullName;
    private readonly List<Process> _processes = [];

    /// <param name="router">The namespace of the router.</param>
    /// <param name="prefix">The /64 prefix of the LAN, in which the router has the first address.</param>
    public Nat64(Namespace router, string prefix)
    {
        try
        {
            Translate(router, $"{prefix}::64");
            ServeNames(router, $"{prefix}::1");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What of it is not installed.</summary>
    public static IEnumerable<string> Missing => new[] { "tayga", "unbound" }.Where(name => Find(name) is null);

    /// <summary>What hosts of the LAN have as /etc/resolv.conf.</summary>
    public string ResolverFile => Path.Combine(_folder, "resolv.conf");

    public void Dispose()
    {
        foreach (var process in _processes)
        {
            process.Kill();
            process.WaitForExit();
            process.Dispose();
        }

        Directory.Delete(_folder, recursive: true);
    }

    private static string? Find(string program) => new[] { $"/usr/sbin/{program}", $"/usr/local/sbin/{program}" }.FirstOrDefault(File.Exists);

    private void Translate(Namespace router, string own)
    {
        var file = Path.Combine(_folder, "tayga.conf");
        File.WriteAllText(file, $"""
            tun-device nat64
            ipv4-addr 192.168.255.1
            ipv6-addr {own}
            prefix {Prefix}
            dynamic-pool 192.168.255.0/24
            data-dir {_folder}

            """);
        router.Order(Find("tayga")!, ["-c", file, "--mktun"], "");
        router.Ip($"""
            link set nat64 up
            route add 192.168.255.0/24 dev nat64
            route add {Prefix} dev nat64

            """);
        var daemon = Start(router, Find("tayga")!, "-c", file, "-d");
        _ = daemon.StandardError.ReadToEndAsync();
        var clock = Stopwatch.StartNew();
        while (!IsServed(router))
        {
            if (daemon.HasExited || clock.Elapsed > s_startTimeout)
            {
                throw new IOException("tayga does not serve its device");
            }
        }
    }

    // The device has a carrier as long as a program has opened it.
    private static bool IsServed(Namespace router)
    {
        using var ip = router.Start("ip", "link", "show", "nat64");
        var state = ip.StandardOutput.ReadToEnd();
        ip.WaitForExit();
        return state.Contains("LOWER_UP", StringComparison.Ordinal);
    }

    private void ServeNames(Namespace router, string own)
    {
        var zone = Path.Combine(_folder, "zone");
        File.WriteAllText(zone, $"""
            $ORIGIN .
            $TTL 60
            @ IN SOA ns.example. root.example. 1 3600 600 86400 60
            @ IN NS ns.example.
            ns.example. IN A 192.0.2.53
            ipv4only.arpa. IN A 192.0.0.170
            ipv4only.arpa. IN A 192.0.0.171
            {ServerName}. IN A {World.First.Address}

            """);
        var file = Path.Combine(_folder, "unbound.conf");
        File.WriteAllText(file, $"""
            server:
              directory: ""
              chroot: ""
              username: ""
              pidfile: ""
              use-syslog: no
              logfile: ""
              do-daemonize: no
              interface: {own}
              access-control: ::/0 allow
              module-config: "dns64 iterator"
              dns64-prefix: {Prefix}
            auth-zone:
              name: "."
              zonefile: "{zone}"
              for-downstream: no
              for-upstream: yes
            remote-control:
              control-enable: no

            """);
        File.WriteAllText(ResolverFile, $"nameserver {own}\n");
        var daemon = Start(router, Find("unbound")!, "-d", "-c", file);
        var serving = Task.Run(() => IsServingAsync(daemon));
        if (!serving.Wait(s_startTimeout) || !serving.Result)
        {
            throw new IOException("unbound does not serve the network");
        }
    }

    private static async Task<bool> IsServingAsync(Process daemon)
    {
        while (await daemon.StandardError.ReadLineAsync() is { } line)
        {
            if (line.Contains("start of service", StringComparison.Ordinal))
            {
                // Its log must not fill the pipe.
                _ = daemon.StandardError.ReadToEndAsync();
                return true;
            }
        }

        return false;
    }

    private Process Start(Namespace router, string program, params string[] arguments)
    {
        var process = router.Start(program, arguments);
        _ = process.StandardOutput.ReadToEndAsync();
        _processes.Add(process);
        return process;
    }
}
