namespace UtpPunch.NatLab;

/// <summary>The requirements of the lab.</summary>
internal static class Machine
{
    private static readonly string[] s_programs = ["ip", "nft", "setpriv"];

    /// <summary>Throws, with one line that names what is missing.</summary>
    public static void Check()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
        {
            throw new UsageException("natlab needs Linux and root, for network namespaces, TUN devices and nftables");
        }

        var missing = s_programs.Where(program => !IsOnPath(program)).ToArray();
        if (missing.Length > 0)
        {
            throw new UsageException(
                $"natlab needs {string.Join(" and ", missing)} on the PATH (packages iproute2, nftables and util-linux)");
        }

        if (!File.Exists("/dev/net/tun"))
        {
            throw new UsageException("natlab needs /dev/net/tun, which this kernel does not have");
        }
    }

    private static bool IsOnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(folder => File.Exists(Path.Combine(folder, program)));
}
