namespace UtpPunch.Attacks;

/// <summary>What the attacks require.</summary>
internal static class Machine
{
    private static readonly string[] s_programs = ["ip", "setpriv"];

    /// <summary>Throws, with one line that names what is missing.</summary>
    public static void Check()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
        {
            throw new UsageException("this needs Linux and root, for network namespaces and raw sockets");
        }

        if (!File.Exists("/dev/net/tun"))
        {
            throw new UsageException("this needs /dev/net/tun, which this kernel does not have");
        }

        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        var missing = s_programs.Where(program => !folders.Any(folder => File.Exists(Path.Combine(folder, program)))).ToArray();
        if (missing.Length > 0)
        {
            throw new UsageException($"this needs {string.Join(" and ", missing)} on the PATH (packages iproute2 and util-linux)");
        }
    }
}
