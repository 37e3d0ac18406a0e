using System.Diagnostics;
using System.Globalization;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>
/// Punching behind NATs of the kernel: tests/UtpPunch.NatLab, for some pairs; `build.fsx natlab` runs all of them.
/// </summary>
public static class NatLabRuns
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(110);

    [Fact("each of the ten NATs maps and filters as its name in RFC 4787's terms says", Timeout = 120)]
    public static async Task Verify()
    {
        var (exitCode, output) = await RunAsync("verify");
        Check.Equal(0, exitCode, output);
        Check.That(output.Contains("all NATs do as they should", StringComparison.Ordinal), output);
    }

    [Fact("utp punch connects the pairs of NATs that must connect", Timeout = 120)]
    public static async Task Tool()
    {
        var (exitCode, output) = await RunAsync("--tool", "utp", "--mode", "60", "--pairs", "20");
        Check.Equal(0, exitCode, output);
        Check.That(output.Contains(": 0 missing (!), 0 better (+), 0 went wrong (?)", StringComparison.Ordinal), output);
    }

    [Fact("two processes whose offers travel by another channel connect behind the pairs of NATs that must connect", Timeout = 120)]
    public static async Task Offers()
    {
        var pairs = from pair in new[] { "1,1", "0,6", "6,6", "5,3", "8,9", "4,1", "2,7", "1,4" } from word in new[] { "--pair", pair } select word;
        var (exitCode, output) = await RunAsync(["--tool", "offers", "--mode", "1000", "--labs", "4", .. pairs]);
        Check.Equal(0, exitCode, output);
        Check.That(output.Contains(": 0 missing (!), 0 better (+), 0 went wrong (?)", StringComparison.Ordinal), output);
    }

    [Fact("libtorrent introduces our node, behind a NAT, to libtorrent behind NATs of types 0, 1 and 2 (BEP 55)", Timeout = 120)]
    public static async Task HolepunchExtension()
    {
        Skip.Unless(TorrentPeer.IsAvailable, TorrentPeer.Missing);
        var (exitCode, output) = await RunAsync("--tool", "torrents", "--mode", "simultaneous", "--labs", "3", "--pair", "0,0", "--pair", "0,1", "--pair", "0,2");
        Check.Equal(0, exitCode, output);
        Check.That(output.Contains("3 of 3 pairs connect", StringComparison.Ordinal), output);
    }

    [Fact("hosts with IPv6 behind firewalls connect, though their IPv4 NATs are of type 7, by a rendezvous of {0}", Timeout = 120)]
    [ForEach(typeof(NatLabRuns), nameof(Families))]
    public static async Task DualStack(string servers)
    {
        var (exitCode, output) = await RunAsync("--ipv6", servers, "--mode", "60", "--labs", "2", "--pair", "7,7", "--pair", "5,6");
        Check.Equal(0, exitCode, output);
        Check.That(output.Contains("2 of 2 pairs connect", StringComparison.Ordinal), output);
    }

    [Fact("behind a home's and a carrier's NAT each, which all map endpoint-independently, two processes connect", Timeout = 120)]
    public static async Task Carriers()
    {
        var (exitCode, output) = await RunAsync("--carrier", "4", "--mode", "60", "--labs", "2", "--pair", "0,4", "--pair", "3,1");
        Check.Equal(0, exitCode, output);
        Check.That(output.Contains("2 of 2 pairs connect", StringComparison.Ordinal), output);
    }

    [Fact("a host with IPv6 only, behind a NAT64 that maps as types 0, 2, 3 and 4, connects to hosts with IPv4 only; it knows the rendezvous by its {0}", Timeout = 120)]
    [ForEach(typeof(NatLabRuns), nameof(Servers))]
    public static async Task Nat64(string server)
    {
        Skip.Unless(File.Exists("/usr/sbin/tayga") && File.Exists("/usr/sbin/unbound"), Nat64Networks.Missing);
        var pairs = from pair in new[] { "0,0", "2,7", "3,6", "4,4" } from word in new[] { "--pair", pair } select word;
        var (exitCode, output) = await RunAsync(["--nat64", server, "--mode", "60", "--labs", "2", .. pairs]);
        Check.Equal(0, exitCode, output);
        Check.That(output.Contains("4 of 4 pairs connect", StringComparison.Ordinal), output);
    }

    public static IEnumerable<object> Servers => ["address", "name"];

    public static IEnumerable<object> Families => ["v4", "v6", "both"];

    [Fact("with a port that miniupnpd maps on one side, NATs of types 5 and 7 connect to all ten", Timeout = 120)]
    public static async Task Mapped()
    {
        Skip.Unless(File.Exists("/usr/sbin/miniupnpd"), RouterLab.Missing);
        var pairs = from a in new[] { 5, 7 } from b in Enumerable.Range(0, 10) from word in new[] { "--pair", $"{a},{b}" } select word;
        var (exitCode, output) = await RunAsync(["--mapped", "--mode", "60", "--labs", "4", .. pairs]);
        Check.Equal(0, exitCode, output);
        Check.That(output.Contains("20 of 20 pairs connect", StringComparison.Ordinal), output);
    }

    [Fact("a program behind the NATs is judged by its exit code, on both sides", Timeout = 120)]
    public static async Task Processes()
    {
        var (exitCode, output) = await RunAsync("--utp", Assembly, "--mode", "simultaneous", "--pair", "0,3", "--pair", "6,6");
        Check.Equal(1, exitCode, output);
        Check.That(output.Contains("1 of 2 pairs connect, 2 expected: 1 missing (!)", StringComparison.Ordinal), output);
    }

    [Fact("natlab leaves no process behind when it is killed", Timeout = 120)]
    public static async Task Killed()
    {
        using var lab = Start(["--utp", Assembly, "--mode", "simultaneous", "--pair", "7,7"]);
        try
        {
            var children = await ChildrenAsync(lab.Id, count: 3);
            lab.Kill();
            await lab.WaitForExitAsync();
            await UntilAsync(() => children.All(child => !Directory.Exists($"/proc/{child}")));
        }
        finally
        {
            lab.Kill();
        }
    }

    private static string Assembly { get; } = Path.Combine(
        AppContext.BaseDirectory.Replace("UtpPunch.Interop.Tests", "UtpPunch.NatLab", StringComparison.Ordinal), "UtpPunch.NatLab.dll");

    private static Process Start(string[] words)
    {
        Skip.Unless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "needs Linux and root, for network namespaces");
        Skip.Unless(OtherTool.Find("nft") is not null && OtherTool.Find("ip") is not null, "needs nft and ip on the PATH");
        return Process.Start(new ProcessStartInfo("dotnet", ["exec", Assembly, .. words])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
    }

    private static async Task<(int ExitCode, string Output)> RunAsync(params string[] words)
    {
        using var lab = Start(words);
        try
        {
            var output = lab.StandardOutput.ReadToEndAsync();
            var errors = lab.StandardError.ReadToEndAsync();
            await lab.WaitForExitAsync().WaitAsync(Timeout);
            return (lab.ExitCode, $"{await output}{await errors}");
        }
        finally
        {
            lab.Kill();
        }
    }

    // The rendezvous and both peers.
    private static async Task<int[]> ChildrenAsync(int parent, int count)
    {
        int[] children = [];
        await UntilAsync(() => (children = [.. ChildrenOf(parent)]).Length == count);
        return children;
    }

    private static IEnumerable<int> ChildrenOf(int parent) =>
        from thread in Directory.GetDirectories($"/proc/{parent}/task")
        from word in Read($"{thread}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries)
        where Read($"/proc/{word}/comm").StartsWith("dotnet", StringComparison.Ordinal)
        select int.Parse(word, CultureInfo.InvariantCulture);

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return "";                                  // the process has ended meanwhile
        }
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        var started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Check.That(Stopwatch.GetElapsedTime(started) < Timeout, "in time");
            await Task.Delay(20);
        }
    }
}
