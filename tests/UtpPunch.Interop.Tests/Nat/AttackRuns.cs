using System.Diagnostics;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>Attacks over real sockets: tests/UtpPunch.Attacks, in the short form; `build.fsx attack` runs the long one.</summary>
public static class AttackRuns
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(110);

    [Fact("attackers who see nothing open no stream, break none, and draw little", Timeout = 120)]
    public static Task OffPath() => RunAsync("a1-open", "a1-meeting", "a2-acknowledge", "a12-blind");

    [Fact("a flood of SYNs keeps no honest host out, and forged addresses and garbage no honest peer from a meeting", Timeout = 120)]
    public static Task Floods() => RunAsync("a4-forge", "a8-garbage", "a9-syn");

    [Fact("hostile datagrams of any kind break neither a node nor a rendezvous server, and cost the same in large tables", Timeout = 120)]
    public static Task AnyDatagram() => RunAsync("hostile-node", "hostile-rendezvous");

    private static string Assembly { get; } = Path.Combine(
        AppContext.BaseDirectory.Replace("UtpPunch.Interop.Tests", "UtpPunch.Attacks", StringComparison.Ordinal), "UtpPunch.Attacks.dll");

    private static async Task RunAsync(params string[] names)
    {
        Skip.Unless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "needs Linux and root, for network namespaces");
        Skip.Unless(OtherTool.Find("ip") is not null && OtherTool.Find("setpriv") is not null, "needs ip and setpriv on the PATH");
        Skip.Unless(File.Exists("/dev/net/tun"), "needs /dev/net/tun, which this kernel does not have");
        using var attacks = Process.Start(new ProcessStartInfo("dotnet", ["exec", Assembly, .. names, "--quick"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        try
        {
            var output = attacks.StandardOutput.ReadToEndAsync();
            var errors = attacks.StandardError.ReadToEndAsync();
            await attacks.WaitForExitAsync().WaitAsync(Timeout);
            Check.Equal(0, attacks.ExitCode, $"{await output}{await errors}");
        }
        finally
        {
            attacks.Kill();
        }
    }
}
