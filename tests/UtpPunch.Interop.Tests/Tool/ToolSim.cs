using System.Text.Json;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp sim`: many scenarios, or one.</summary>
public static class ToolSim
{
    private const int Failure = 1;
    private const int Usage = 2;
    private const int Interrupted = 130;
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(3);

    [Fact("fifty scenarios keep every property, and the same seed gives the same counts twice")]
    public static async Task SameTwice()
    {
        var first = await TextAsync("sim --runs 50 --seed 7");
        Check.Equal("seed        7", first.Split('\n')[0]);
        Check.That(first.Contains("\nruns        50\n", StringComparison.Ordinal), first);
        Check.That(first.Contains("\nviolations  0\n", StringComparison.Ordinal), first);
        Check.That(first.Contains("  FastRetransmit\n", StringComparison.Ordinal), first);
        Check.Equal(Counts(first), Counts(await TextAsync("sim --runs 50 --seed 7")));

        static string Counts(string text) => string.Join('\n', text.Split('\n').Where(line => !line.StartsWith("took", StringComparison.Ordinal)));
    }

    [Fact("two shards make the same runs as one command without shards")]
    public static async Task Shards()
    {
        var whole = await JsonAsync("sim --runs 15 --seed 8 --json");
        var even = await JsonAsync("sim --runs 15 --seed 8 --shard 0/2 --json");
        var odd = await JsonAsync("sim --runs 15 --seed 8 --shard 1/2 --json");
        Check.Equal(8L, Number(even, "runs"));
        foreach (var name in new[] { "runs", "events", "simulatedMicroseconds" })
        {
            Check.Equal(Number(whole, name), Number(even, name) + Number(odd, name), name);
        }

        foreach (var mark in whole.GetProperty("marks").EnumerateObject())
        {
            Check.Equal(mark.Value.GetInt64(), Mark(even, mark.Name) + Mark(odd, mark.Name), mark.Name);
        }

        Check.Equal(0L, Number(whole, "violations"));

        static long Number(JsonElement json, string name) => json.GetProperty(name).GetInt64();
        static long Mark(JsonElement json, string name) => json.GetProperty("marks").TryGetProperty(name, out var count) ? count.GetInt64() : 0;
    }

    [Fact("a scenario from a file runs, and its trace replays and can be shown")]
    public static async Task OneScenario()
    {
        using var files = new TraceFiles();
        var scenario = Path.GetFullPath(Path.Combine(TraceFiles.Sample, "../../../corpus/storm-of-single-bytes.scenario"));
        var trace = files.At("storm.utrace");
        var text = await TextAsync($"sim --scenario {scenario} --trace {trace}");
        Check.That(text.Contains("violations  0\n", StringComparison.Ordinal) && text.Contains("\nflow 0 A stream 0: wrote ", StringComparison.Ordinal), text);
        Check.That((await TextAsync($"replay {trace}")).StartsWith("equal: ", StringComparison.Ordinal));
        Check.That((await TraceFiles.ShowAsync(trace)).Contains("; 0 violations", StringComparison.Ordinal));
        var json = await JsonAsync($"sim --scenario {scenario} --json");
        Check.That(json.GetProperty("streams").GetArrayLength() > 0);
    }

    [Fact("invalid options are code 2, an invalid scenario is code 1, each with one line that names the reason")]
    public static async Task BadWords()
    {
        using var files = new TraceFiles();
        await MistakeAsync("sim --seed -1", "'-1' is not a seed");
        await MistakeAsync("sim --runs 0", "'0' is not a number of runs");
        await MistakeAsync("sim --minutes soon", "'soon' is not a number of minutes");
        await MistakeAsync("sim --shard 2/2", "'2/2' is not a shard");
        await MistakeAsync("sim --runs 1 --minutes 1", "--runs and --minutes");
        await MistakeAsync("sim --trace x", "--trace needs");
        await MistakeAsync("sim --scenario x --seed 1", "takes no --seed");
        await BadFileAsync($"sim --scenario {files.Write("empty", ["# nothing"])}", "ends too early");
        await BadFileAsync($"sim --scenario {files.Write("other", ["{Seed seven"])}", "'seven' is no UInt64");
        await BadFileAsync($"sim --scenario {TraceFiles.Sample}", "is not a scenario");
    }

    [Fact("a trace that cannot be written is code 1")]
    public static async Task NoTrace()
    {
        var scenario = Path.GetFullPath(Path.Combine(TraceFiles.Sample, "../../../corpus/storm-of-single-bytes.scenario"));
        using var tool = ToolProcess.Start($"sim --scenario {scenario} --trace {Path.GetTempPath()}");
        Check.That((await tool.FailAsync(Failure)).Contains("cannot be written", StringComparison.Ordinal));
    }

    [Fact("Ctrl-C ends it with the results so far, code 130")]
    public static async Task Interruption()
    {
        Skip.Unless(OperatingSystem.IsLinux(), "needs signals");
        using var tool = ToolProcess.Start("sim --minutes 10 --seed 7");
        await Task.Delay(3000);
        tool.Interrupt();
        await tool.FailAsync(Interrupted, Timeout);
        var text = await tool.TextAsync();
        Check.That(text.Contains(", interrupted\n", StringComparison.Ordinal) && text.Contains("violations  0\n", StringComparison.Ordinal), text);
    }

    private static Task MistakeAsync(string words, string what) => FailsAsync(words, Usage, what);

    private static Task BadFileAsync(string words, string what) => FailsAsync(words, Failure, what);

    private static async Task FailsAsync(string words, int code, string what)
    {
        using var tool = ToolProcess.Start(words);
        var errorLine = await tool.FailAsync(code);
        Check.That(errorLine.Contains(what, StringComparison.Ordinal), $"'utp {words}' is answered with '{what}', not with '{errorLine}'");
        Check.Equal(0, (await tool.OutputAsync()).Length);
    }

    private static async Task<string> TextAsync(string words)
    {
        using var tool = ToolProcess.Start(words);
        await tool.SucceedAsync(Timeout);
        return await tool.TextAsync();
    }

    private static async Task<JsonElement> JsonAsync(string words) => JsonDocument.Parse(await TextAsync(words)).RootElement;
}
