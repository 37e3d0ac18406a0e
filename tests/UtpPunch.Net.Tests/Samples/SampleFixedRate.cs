namespace UtpPunch.Tests;

/// <summary>The controller of docs/library.md is the sample's own text, and the sample runs.</summary>
public static class SampleFixedRate
{
    private static readonly Sample s_sample = new("FixedRate");

    [Fact("the controller in docs/library.md is samples/FixedRate/FixedRateController.cs, letter by letter")]
    public static Task Quoted() => s_sample.IsQuotedAsync("FixedRateController.cs", "docs/library.md");

    [Fact("the fixed-rate sample sends two megabytes with its own controller and prints what the statistics have of it")]
    public static async Task Runs()
    {
        var (lines, _) = await s_sample.RunAsync("3000000");
        Check.Equal("fixed-rate: phase 'fixed', 3000000 bytes per second", lines[0]);
        Check.Equal("received 2000000 bytes", lines[1]);
        Check.Equal(2, lines.Length);
    }
}
