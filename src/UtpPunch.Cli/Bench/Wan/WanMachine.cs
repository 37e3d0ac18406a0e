using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>What emulated paths require of the machine.</summary>
internal static class WanMachine
{
    private static readonly string[] s_programs = ["ip", "unshare", "nsenter"];

    /// <summary>Throws, with one line that names what is missing.</summary>
    public static void Check()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
        {
            throw Missing("Linux and root, for network namespaces and TUN devices");
        }

        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        string[] missing = [.. s_programs.Where(program => !folders.Any(folder => File.Exists(Path.Combine(folder, program))))];
        if (missing.Length > 0)
        {
            throw Missing($"{string.Join(" and ", missing)} on the PATH (packages iproute2 and util-linux)");
        }

        if (!MayCreateNamespaces())
        {
            throw Missing("the permission to create network namespaces, which root in a container may lack");
        }

        try
        {
            using var device = File.OpenHandle("/dev/net/tun", FileMode.Open, FileAccess.ReadWrite);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Missing($"/dev/net/tun ({error.Message})");
        }
    }

    /// <summary>The congestion controls that the kernel's TCP has.</summary>
    public static string[] CongestionControls() =>
        File.ReadAllText("/proc/sys/net/ipv4/tcp_available_congestion_control").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    private static bool MayCreateNamespaces()
    {
        using var process = Process.Start(new ProcessStartInfo("unshare", ["--net", "true"]) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode == 0;
    }

    private static ToolException Missing(string what) => new(ExitCodes.Failure, $"--part {Wan.Name} needs {what}");
}
