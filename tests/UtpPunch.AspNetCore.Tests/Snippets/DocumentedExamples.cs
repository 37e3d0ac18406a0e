using UtpPunch.Tests;

namespace UtpPunch.Snippets;

/// <summary>The examples of docs/aspnetcore.md are compiled with these tests.</summary>
public static class DocumentedExamples
{
    [Fact("the examples of docs/aspnetcore.md compile", Parallel = true)]
    public static Task Compiled() =>
        UtpPunch.Tests.Snippets.AreCurrentAsync("docs/aspnetcore.md", "tests/UtpPunch.AspNetCore.Tests/Snippets/aspnetcore.Generated.cs");

    [Fact("the examples in the comments of UtpPunch.AspNetCore compile", Parallel = true)]
    public static Task CommentsCompiled() => UtpPunch.Tests.Snippets.CommentsAreCurrentAsync(
        "src/UtpPunch.AspNetCore",
        "tests/UtpPunch.AspNetCore.Tests/Snippets/Comments.Generated.cs",
        "Microsoft.AspNetCore.Builder",
        "Microsoft.AspNetCore.Hosting",
        "Microsoft.AspNetCore.Http",
        "Microsoft.AspNetCore.Server.Kestrel.Core",
        "Microsoft.Extensions.DependencyInjection",
        "System.Net",
        "UtpPunch.AspNetCore");
}
