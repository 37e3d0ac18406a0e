using UtpPunch.Tests;

namespace UtpPunch.Snippets;

/// <summary>The examples of docs/aspnetcore.md are compiled with these tests.</summary>
public static class DocumentedExamples
{
    [Fact("the examples of docs/aspnetcore.md compile", Parallel = true)]
    public static Task Compiled() =>
        UtpPunch.Tests.Snippets.AreCurrentAsync("docs/aspnetcore.md", "tests/UtpPunch.AspNetCore.Tests/Snippets/aspnetcore.Generated.cs");
}
