using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp demo`, `utp --help` and `utp --version`.</summary>
public static class ToolDemo
{
    [Fact("the demo meets, punches, says hello and world, moves its data both ways, and reports; code 0")]
    public static async Task Runs()
    {
        using var tool = ToolProcess.Start("demo --size 2");
        var code = await tool.ExitAsync();
        var output = await tool.TextAsync();
        var all = $"{output}\n{tool}";
        Check.Equal(0, code, all);
        string[] wanted =
        [
            "Met at the rendezvous 127.0.0.1:", "and punched: Open to 127.0.0.1:",
            "server: socket connected", "client: socket connected", "server: received 'hello'", "client: received 'world'",
            "client: socket disconnected", "server: socket disconnected", "Hashes are equal.",
        ];
        foreach (var line in wanted)
        {
            Check.That(output.Contains(line, StringComparison.Ordinal), $"'{line}' is in:\n{all}");
        }

        Check.That(!all.Contains('\e'), "no colours where there is no terminal");
        Check.That(tool.ErrorOutput.Contains("2 MiB to the client: 100 %", StringComparison.Ordinal), "the progress is on standard error");
    }

    [Fact("the demo's second process ends when the first one is killed")]
    public static async Task EndsTogether()
    {
        Skip.Unless(OperatingSystem.IsLinux(), "looks into /proc");
        using var tool = ToolProcess.Start("demo --size 1024");
        var child = await SoonAsync(() => ChildrenOf(tool.Id).Select(id => (int?)id).FirstOrDefault());
        tool.Kill();
        await SoonAsync(() => Directory.Exists($"/proc/{child}") ? null : (int?)0);
    }

    [Fact("the demo fails when its second process is killed")]
    public static async Task FailsAlone()
    {
        Skip.Unless(OperatingSystem.IsLinux(), "looks into /proc");
        using var tool = ToolProcess.Start("demo --size 1024");
        var child = await SoonAsync(() => ChildrenOf(tool.Id).Select(id => (int?)id).FirstOrDefault());
        System.Diagnostics.Process.GetProcessById(child).Kill();
        Check.Equal(1, await tool.ExitAsync());
        Check.That(tool.ErrorOutput.EndsWith("utp: the second process ended too early", StringComparison.Ordinal), $"{tool}");
    }

    [Fact("utp --help and utp --version go to standard output, code 0")]
    public static async Task HelpAndVersion()
    {
        Check.That((await AnswerAsync("--version")).StartsWith("utp 0.", StringComparison.Ordinal));
        var help = await AnswerAsync("--help");
        Check.That(help.Contains("Exit codes:\n", StringComparison.Ordinal));
        foreach (var code in new[] { 0, 1, 2, 3, 4, 5, 130, 141, 143 })
        {
            Check.That(help.Contains($" {code} ", StringComparison.Ordinal), $"{code} is explained in:\n{help}");
        }

        Check.That(!(await AnswerAsync("--help")).Contains("demo-peer", StringComparison.Ordinal), "the hidden command is hidden");
        var cat = await AnswerAsync("cat --help");
        Check.That(cat.Contains("--dialect <bep29|utp-punch>", StringComparison.Ordinal), cat);
        Check.That(cat.Contains("utp cat [<HOST> [<PORT>]]", StringComparison.Ordinal), "optional arguments are in brackets");
        Check.Equal(help, await AnswerAsync("help"));
        Check.Equal(cat, await AnswerAsync("help cat"));
    }

    private static async Task<string> AnswerAsync(string words)
    {
        using var tool = ToolProcess.Start(words);
        await tool.SucceedAsync();
        return await tool.TextAsync();
    }

    private static async Task<int> SoonAsync(Func<int?> look)
    {
        for (var tries = 0; tries < 500; tries++)
        {
            if (look() is { } found)
            {
                return found;
            }

            await Task.Delay(20);
        }

        throw new TimeoutException("It did not happen within ten seconds.");
    }

    private static IEnumerable<int> ChildrenOf(int id) =>
        Directory.GetDirectories($"/proc/{id}/task")
            .SelectMany(thread => File.ReadAllText($"{thread}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Select(int.Parse);
}
