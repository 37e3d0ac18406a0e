using UtpPunch.Tests;

namespace UtpPunch.Snippets;

/// <summary>The examples of the documentation are compiled with these tests.</summary>
public static class DocumentedExamples
{
    private const string OfAspNetCore = "docs/aspnetcore.md";

    /// <summary>The pages with examples. Those of ASP.NET Core are compiled with its tests.</summary>
    public static IEnumerable<object> Pages { get; } = ["docs/files.md", "docs/library.md", "docs/telemetry.md"];

    [Fact("the examples of {0} compile", Parallel = true)]
    [ForEach(typeof(DocumentedExamples), nameof(Pages))]
    public static Task Compiled(string page) =>
        UtpPunch.Tests.Snippets.AreCurrentAsync(page, $"tests/UtpPunch.Net.Tests/Snippets/{Path.GetFileNameWithoutExtension(page)}.Generated.cs");

    [Fact("no page has an example that is not compiled", Parallel = true)]
    public static async Task AllPages() =>
        Check.Equal(string.Join(' ', [OfAspNetCore, .. Pages]), string.Join(' ', await UtpPunch.Tests.Snippets.PagesAsync()));
}

/// <summary>What examples of docs/library.md use of earlier ones.</summary>
internal static partial class LibrarySnippets
{
    private static async Task EchoAsync(UtpStream stream)
    {
        await using (stream)
        {
            await stream.CopyToAsync(stream);
        }
    }
}
