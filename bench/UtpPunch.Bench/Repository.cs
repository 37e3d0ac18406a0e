namespace UtpPunch.Bench;

/// <summary>The root of the repository.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

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
