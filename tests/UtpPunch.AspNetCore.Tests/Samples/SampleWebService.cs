namespace UtpPunch.Tests;

/// <summary>The sample of docs/aspnetcore.md is quoted there, and it serves a client in another process.</summary>
public static class SampleWebService
{
    private const string Project = "samples/WebService";

    [Fact("docs/aspnetcore.md has samples/WebService/Program.cs, letter by letter", Parallel = true)]
    public static Task Quoted() => Repository.IsQuotedAsync($"{Project}/Program.cs", "docs/aspnetcore.md");

    [Fact("the web sample answers a client in another process, and ends by SIGTERM", Parallel = true)]
    public static async Task Runs()
    {
        using var server = Start("serve", "0");
        var listening = await server.LineAsync("listening on 0.0.0.0:");
        using var client = Start("get", $"127.0.0.1:{listening[(listening.LastIndexOf(':') + 1)..]}");
        var said = await client.EndAsync();
        Check.That(said.StartsWith("hello over HTTP/2 and uTP, connection ", StringComparison.Ordinal), client.Transcript);
        Check.Equal(0, client.ExitCode);
        server.Terminate();
        await server.EndAsync();
        Check.Equal(0, server.ExitCode);
        Check.Equal("", server.Errors);
    }

    private static ProgramRun Start(params string[] arguments) =>
        ProgramRun.Start(Repository.Root, "dotnet", ["exec", Repository.OutputOf(Project, "WebService"), .. arguments]);
}
