namespace UtpPunch.NatLab;

/// <summary>The root of the repository, and programs built in it.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    /// <summary>The tool, built in the same configuration as this program.</summary>
    public static string Tool { get; } =
        Path.Combine(Root, "src", "UtpPunch.Cli", "bin", Configuration.Parent!.Name, Configuration.Name, "utp.dll");

    /// <summary>The sample of offers that an application carries.</summary>
    public static string OfferSample { get; } = Sample("OwnSignalling");

    /// <summary>The sample of BitTorrent's holepunch extension.</summary>
    public static string HolePunchSample { get; } = Sample("HolePunch");

    // This program is in tests/NAME/bin/CONFIGURATION/FRAMEWORK.
    private static DirectoryInfo Configuration => new(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));

    private static string Sample(string name) =>
        Path.Combine(Root, "samples", name, "bin", Configuration.Parent!.Name, Configuration.Name, $"{name}.dll");

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "UtpPunch.sln")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException($"UtpPunch.sln is in no folder above {AppContext.BaseDirectory}");
    }
}
