using System.Diagnostics;
using System.Globalization;

namespace UtpPunch.Cli.Bench;

/// <summary>Runs groups in rounds: in each round every case of every group runs once.</summary>
internal static class BenchRunner
{
    public static async Task<GroupResult[]> RunAsync(IEnumerable<BenchGroup> groups, int rounds, CancellationToken cancellationToken)
    {
        GroupResult[] results = [.. groups.Select(group => new GroupResult(group))];
        for (var round = 1; round <= rounds; round++)
        {
            foreach (var result in results.Where(result => round <= result.Group.MostRounds))
            {
                foreach (var one in result.Cases)
                {
                    await RunAsync(result.Group, one, round, cancellationToken);
                }
            }
        }

        return results;
    }

    private static async Task RunAsync(BenchGroup group, CaseResult result, int round, CancellationToken cancellationToken)
    {
        var started = Stopwatch.GetTimestamp();
        string outcome;
        try
        {
            var run = await result.Case.RunAsync(cancellationToken);
            result.Add(run);
            outcome = string.Join(", ", run.Zip(group.Measures, (value, measure) => $"{Figures.Of(value)} {measure.Name}"));
        }
        catch (Exception error) when (error is BenchException or IOException or InvalidOperationException)
        {
            result.Fail(error.Message);
            outcome = $"failed: {error.Message}";
        }

        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds.ToString("F1", CultureInfo.InvariantCulture);
        await Console.Error.WriteLineAsync(
            TerminalText.Escape($"round {round}, {group.Part}: {result.Case.Name}: {outcome}; {seconds} s"));
    }
}
