namespace UtpPunch.Tests;

/// <summary>Files of the repository that tests read.</summary>
public static class Repository
{
    // The tests are in tests/NAME/bin/CONFIGURATION/FRAMEWORK.
    private static readonly DirectoryInfo Framework = new(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));

    public static string Root { get; } = Framework.Parent!.Parent!.Parent!.Parent!.Parent!.FullName;

    /// <summary>What was built of a project, in the tests' own configuration.</summary>
    public static string OutputOf(string project, string assembly) =>
        Path.Combine(Root, project, "bin", Framework.Parent!.Name, Framework.Name, $"{assembly}.dll");

    public static async Task<string> TextAsync(string file) => (await File.ReadAllTextAsync(Path.Combine(Root, file))).ReplaceLineEndings("\n");

    /// <summary>A page has the text of a file behind a line that names it, letter by letter.</summary>
    public static async Task IsQuotedAsync(string file, string page)
    {
        var text = await TextAsync(page);
        var language = Path.GetExtension(file) switch
        {
            ".cs" => "csharp",
            ".fs" => "fsharp",
            ".json" => "json",
            ".service" => "ini",
            _ => "",
        };
        Check.That(
            text.Contains($"<!-- {file} -->\n```{language}\n{await TextAsync(file)}```", StringComparison.Ordinal),
            $"{page} has the text of {file} behind the line <!-- {file} -->");
    }
}
