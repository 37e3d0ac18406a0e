namespace UtpPunch.Tests;

/// <summary>The examples of docs/simulate.md are files of a program, and the program runs.</summary>
public static class SampleSimulation
{
    private static readonly string[] s_files = ["BareNode", "StopAndWait", "OwnWorld", "OwnProperty", "OwnController", "Replays"];

    [Fact("docs/simulate.md has the files of samples/Simulation, letter by letter", Parallel = true)]
    public static async Task Quoted()
    {
        foreach (var file in s_files)
        {
            await Repository.IsQuotedAsync($"samples/Simulation/{file}.fs", "docs/simulate.md");
        }
    }

    [Fact("the sample finds what is wrong with a protocol, checks worlds, runs a controller, and replays a recording", Parallel = true)]
    public static async Task Runs()
    {
        var (lines, _) = await new Sample("Simulation").RunAsync();
        Check.Equal(7, lines.Length);
        Check.Equal("the core transfers text over sockets", lines[0]);
        Check.That(lines[2].StartsWith("reordering breaks it, first with seed ", StringComparison.Ordinal), lines[2]);
        Check.Equal("a recorded world replays", lines[6]);
    }
}
