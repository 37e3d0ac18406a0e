using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp bench --part wan`: the link keeps its rate, and nothing remains of it.</summary>
public static class ToolBenchWan
{
    private const double Rate = 100;                            // Mbit/s, of the path r1
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(1);

    [Fact("utp bench --part wan: TCP and streams fill the link, no faster than its rate, and the devices are gone afterwards")]
    public static async Task Measures()
    {
        Require();
        using var tool = ToolProcess.Start("bench --part wan --path r1 --rounds 1 --seconds 2 --json");
        var hosts = await HostsAsync(tool);
        Check.Equal(0, await tool.ExitAsync(Timeout), $"{tool}");
        using var result = JsonDocument.Parse(await tool.TextAsync());
        var group = result.RootElement.GetProperty("groups").EnumerateArray().Single();
        var cases = group.GetProperty("cases").EnumerateArray().ToDictionary(one => one.GetProperty("name").GetString()!, GoodputOf);
        Check.That(cases["UtpPunch, bbr"] is > 1 and < Rate, $"{group}");
        foreach (var name in cases.Keys.Where(name => name.StartsWith(".NET TCP", StringComparison.Ordinal)))
        {
            Check.That(cases[name] is > Rate / 2 and < Rate, $"{group}");
        }

        await GoneAsync(tool, hosts);
    }

    [Fact("utp bench --part wan, interrupted or killed, leaves no device and no process behind")]
    public static async Task Ends()
    {
        Require();
        foreach (var isKilled in new[] { false, true })
        {
            using var tool = ToolProcess.Start("bench --part wan --path r1 --rounds 1 --seconds 60");
            var hosts = await HostsAsync(tool);
            if (isKilled)
            {
                tool.Kill();
            }
            else
            {
                tool.Interrupt();
                Check.Equal(130, await tool.ExitAsync(), $"{tool}");
            }

            await GoneAsync(tool, hosts);
        }
    }

    [Fact("utp bench --part wan without root says in one line what it needs, code 1; unknown paths and contestants have code 2")]
    public static async Task Refuses()
    {
        foreach (var words in new[] { "--path r1", "--only tcp", "--part wan --path r0" })
        {
            using var mistaken = ToolProcess.Start($"bench {words}");
            var line = await mistaken.FailAsync(2);
            Check.That(line.Contains("--part wan", StringComparison.Ordinal) || line.Contains("'r0' is not a path", StringComparison.Ordinal), line);
        }

        // A new user namespace takes root's rights away, but not its files.
        string[] within = ["env"];
        if (OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess)
        {
            within = ["unshare", "--user"];
            Skip.Unless(await IsPermittedAsync([.. within, "true"]), "needs unshare of util-linux, and user namespaces");
        }

        using var tool = ToolProcess.StartWithin(within, "bench --part wan");
        var errorLine = await tool.FailAsync(1);
        Check.That(errorLine.Contains("needs Linux and root", StringComparison.Ordinal), errorLine);
    }

    private static void Require()
    {
        Skip.Unless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "needs Linux and root, for network namespaces");
        Skip.Unless(new[] { "ip", "unshare", "nsenter" }.All(name => OtherTool.Find(name) is not null), "needs ip, unshare and nsenter");
        Skip.Unless(File.Exists("/dev/net/tun"), "needs /dev/net/tun, which this kernel does not have");
    }

    private static async Task<bool> IsPermittedAsync(string[] command)
    {
        try
        {
            await OtherTool.RunAsync(command[0], command[1..]);
            return true;
        }
        catch (Exception error) when (error is Win32Exception or InvalidOperationException)
        {
            return false;
        }
    }

    private static double GoodputOf(JsonElement one) => one.GetProperty("Mbit/s").GetProperty("median").GetDouble();

    /// <summary>The two shells that hold the namespaces, and the workers, as soon as all of them run in a network of their own.</summary>
    private static async Task<int[]> HostsAsync(ToolProcess tool)
    {
        const int ShellsAndWorkers = 4;
        int[] inside = [];
        await UntilAsync(() => (inside = [.. ChildrenOf(tool.Id).Where(child => NetworkOf(child) is { } network && network != NetworkOf(tool.Id))]).Length
            == ShellsAndWorkers);
        Check.Equal(2, inside.Select(NetworkOf).Distinct().Count());
        return inside;
    }

    /// <summary>Waits until the processes have ended: the kernel removes a namespace and its devices with the last one.</summary>
    private static async Task GoneAsync(ToolProcess tool, int[] hosts)
    {
        await UntilAsync(() => hosts.All(host => NetworkOf(host) is null));
        Check.That(!Directory.Exists($"/sys/class/net/utp{tool.Id}"), "no device remains");
    }

    private static IEnumerable<int> ChildrenOf(int parent) =>
        from folder in Directory.EnumerateDirectories("/proc")
        where int.TryParse(Path.GetFileName(folder), out _)
        let child = int.Parse(Path.GetFileName(folder))
        where ParentOf(child) == parent
        select child;

    private static int? ParentOf(int process)
    {
        try
        {
            // "pid (name) state ppid …"; a name may contain anything.
            var line = File.ReadAllText($"/proc/{process}/stat");
            return int.Parse(line[(line.LastIndexOf(')') + 2)..].Split(' ')[1]);
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>The network namespace of a process; null when it has ended.</summary>
    private static string? NetworkOf(int process)
    {
        try
        {
            return new FileInfo($"/proc/{process}/ns/net").LinkTarget;
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        var started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Check.That(Stopwatch.GetElapsedTime(started) < Timeout, "the condition holds in time");
            await Task.Delay(10);
        }
    }
}
