namespace UtpPunch.Attacks;

/// <summary>The build of the library that hosts use: ours, or an older one.</summary>
internal static class Library
{
    private static readonly string[] s_assemblies = ["UtpPunch.Net.dll", "UtpPunch.Protocol.dll", "UtpPunch.Trace.dll"];

    /// <summary>The program for hosts. For another build this program is copied, and the library's assemblies replaced.</summary>
    public static string Program(string? library)
    {
        var own = AppContext.BaseDirectory;
        const string Name = "UtpPunch.Attacks.dll";
        if (library is null)
        {
            return Path.Combine(own, Name);
        }

        var copy = Directory.CreateTempSubdirectory("utp-attacks").FullName;
        foreach (var file in Directory.GetFiles(own))
        {
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }

        foreach (var assembly in s_assemblies.Where(assembly => File.Exists(Path.Combine(library, assembly))))
        {
            File.Copy(Path.Combine(library, assembly), Path.Combine(copy, assembly), overwrite: true);
        }

        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(copy, recursive: true);
        return Path.Combine(copy, Name);
    }
}
