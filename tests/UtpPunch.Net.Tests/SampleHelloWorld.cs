using System.Diagnostics;

namespace UtpPunch.Tests;

/// <summary>The first example of README.md is the sample's own text, and the sample runs.</summary>
public static class SampleHelloWorld
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    // The tests are in tests/NAME/bin/CONFIGURATION/FRAMEWORK.
    private static readonly DirectoryInfo Framework = new(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
    private static readonly DirectoryInfo Configuration = Framework.Parent!;
    private static readonly string Root = Configuration.Parent!.Parent!.Parent!.Parent!.FullName;
    private static readonly string Folder = Path.Combine(Root, "samples", "HelloWorld");

    [Fact("the README's hello-world example is samples/HelloWorld/Program.cs, letter by letter")]
    public static async Task Quoted()
    {
        const string Marker = "<!-- samples/HelloWorld/Program.cs -->";
        const string Opening = "```csharp\n";
        var readme = await TextAsync(Path.Combine(Root, "README.md"));
        var marker = readme.IndexOf(Marker, StringComparison.Ordinal);
        Check.That(marker >= 0, $"README.md has the line {Marker}");
        var block = readme[(marker + Marker.Length)..].TrimStart('\n');
        Check.That(block.StartsWith(Opening, StringComparison.Ordinal), $"a block of C# follows the line {Marker}");
        block = block[Opening.Length..];
        Check.Equal(await TextAsync(Path.Combine(Folder, "Program.cs")), block[..(block.IndexOf("\n```", StringComparison.Ordinal) + 1)]);
    }

    [Fact("the hello-world sample says what the original's example says, each side in its order")]
    public static async Task Runs()
    {
        var assembly = Path.Combine(Folder, "bin", Configuration.Name, Framework.Name, "HelloWorld.dll");
        Check.That(File.Exists(assembly), $"{assembly} is there (build the solution first)");
        using var sample = Process.Start(new ProcessStartInfo("dotnet", ["exec", assembly])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        try
        {
            var output = sample.StandardOutput.ReadToEndAsync();
            var errors = sample.StandardError.ReadToEndAsync();
            await sample.WaitForExitAsync().WaitAsync(Patience);
            Check.Equal("", await errors);
            Check.Equal(0, sample.ExitCode);
            var lines = (await output).Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);
            Check.Equal("ready, socket connected, received 'hello', socket disconnected", SaidBy("server", lines));
            Check.Equal("socket connected, received 'world', socket disconnected", SaidBy("client", lines));
        }
        finally
        {
            sample.Kill();
        }
    }

    // The two sides run side by side, so only the order of each is certain.
    private static string SaidBy(string side, string[] lines) =>
        string.Join(", ", lines.Where(line => line.StartsWith(side, StringComparison.Ordinal)).Select(line => line[(side.Length + 2)..]));

    private static async Task<string> TextAsync(string file) => (await File.ReadAllTextAsync(file)).ReplaceLineEndings("\n");
}
