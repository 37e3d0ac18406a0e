namespace UtpPunch.Cli.Bench;

/// <summary>`utp bench` on one machine.</summary>
internal static class LocalBench
{
    public static Task<int> RunAsync(BenchSettings settings, string[] parts, bool isJson) =>
        RunAsync(settings, LocalParts.Groups(LocalParts.All, parts, settings), isJson);

    /// <summary>Runs the groups and writes the results to standard output.</summary>
    public static Task<int> RunAsync(BenchSettings settings, IEnumerable<BenchGroup> groups, bool isJson) => RunAsync(settings, groups, report =>
    {
        if (isJson)
        {
            Console.Out.Write(TerminalText.EscapeLines(report.ToJson()));
        }
        else
        {
            report.WriteText(Console.Out);
        }
    });

    /// <summary>Runs the groups and shows the results; throws if a run failed.</summary>
    public static async Task<int> RunAsync(BenchSettings settings, IEnumerable<BenchGroup> groups, Action<BenchReport> show)
    {
        using var interruption = new Interruption();
        try
        {
            var report = new BenchReport(settings, await BenchRunner.RunAsync(groups, settings.Rounds, interruption.Finish));
            show(report);
            return report.IsWhole ? ExitCodes.Success : throw new ToolException(ExitCodes.Failure, "some runs failed");
        }
        catch (OperationCanceledException) when (interruption.ExitCode is { } code)
        {
            return code;
        }
    }
}
