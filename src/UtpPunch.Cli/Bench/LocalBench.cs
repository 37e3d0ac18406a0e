namespace UtpPunch.Cli.Bench;

/// <summary>`utp bench` on one machine.</summary>
internal static class LocalBench
{
    public static Task<int> RunAsync(BenchSettings settings, string[] parts, bool isJson) => RunAsync(
        settings,
        LocalParts.All.Where(part => parts.Length == 0 || parts.Contains(part.Key)).SelectMany(part => part.Value(settings)),
        isJson);

    /// <summary>Runs the contests and writes how they went to standard output.</summary>
    public static Task<int> RunAsync(BenchSettings settings, IEnumerable<Contest> contests, bool isJson) => RunAsync(settings, contests, report =>
    {
        if (isJson)
        {
            Console.Out.Write(report.ToJson());
        }
        else
        {
            report.WriteText(Console.Out);
        }
    });

    /// <summary>Runs the contests and shows how they went; a failure if one contestant failed.</summary>
    public static async Task<int> RunAsync(BenchSettings settings, IEnumerable<Contest> contests, Action<BenchReport> show)
    {
        using var interruption = new Interruption();
        try
        {
            var report = new BenchReport(settings, await Tournament.RunAsync(contests, settings.Rounds, interruption.Finish));
            show(report);
            return report.IsWhole ? ExitCodes.Success : throw new ToolException(ExitCodes.Failure, "not every contestant has played to the end");
        }
        catch (OperationCanceledException) when (interruption.ExitCode is { } code)
        {
            return code;
        }
    }
}
