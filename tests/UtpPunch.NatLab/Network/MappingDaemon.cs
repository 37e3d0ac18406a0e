using System.Diagnostics;

namespace UtpPunch.NatLab.Network;

/// <summary>
/// miniupnpd on a NAT: hosts of its LAN have ports mapped by PCP, NAT-PMP and UPnP. It needs an outside address that is not reserved: 198.18.0.0/15
/// and the like turn forwarding off.
/// </summary>
internal sealed class MappingDaemon : IDisposable
{
    private const string Rules = """
        table inet upnp {
          chain forward { type filter hook forward priority 0; jump m_fwd; }
          chain pre { type nat hook prerouting priority -100; jump m_pre; }
          chain post { type nat hook postrouting priority 90; jump m_post; }
          chain m_fwd { }
          chain m_pre { }
          chain m_post { }
        }

        """;

    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(10);

    private readonly string _folder = Directory.CreateTempSubdirectory("natlab").FullName;
    private readonly Process _process;

    public MappingDaemon(Namespace nat, int lan)
    {
        nat.Order("nft", ["-f", "-"], Rules);
        var file = Path.Combine(_folder, "conf");
        File.WriteAllText(file, $"""
            ext_ifname=wan
            listening_ip=lan
            enable_natpmp=yes
            secure_mode=yes
            upnp_table_name=upnp
            upnp_nat_table_name=upnp
            upnp_forward_chain=m_fwd
            upnp_nat_chain=m_pre
            upnp_nat_postrouting_chain=m_post
            uuid=00000000-0000-4000-8000-000000000001
            allow 1024-65535 192.168.{lan}.0/24 1024-65535
            deny 0-65535 0.0.0.0/0 0-65535

            """);
        _process = nat.Start(Program!, "-d", "-f", file, "-P", Path.Combine(_folder, "pid"));
        var serving = Task.Run(AwaitSocketsAsync);
        if (!serving.Wait(s_startTimeout) || !serving.Result)
        {
            Dispose();
            throw new IOException("miniupnpd does not serve the network");
        }
    }

    /// <summary>Where it is; null if it is not installed.</summary>
    public static string? Program { get; } =
        new[] { "/usr/sbin/miniupnpd", "/usr/local/sbin/miniupnpd" }.FirstOrDefault(File.Exists);

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<bool> AwaitSocketsAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            if (line.Contains("Listening for NAT-PMP", StringComparison.Ordinal))
            {
                // Its log must not fill the pipe.
                _ = Task.WhenAll(_process.StandardError.ReadToEndAsync(), _process.StandardOutput.ReadToEndAsync());
                return true;
            }
        }

        return false;
    }
}
