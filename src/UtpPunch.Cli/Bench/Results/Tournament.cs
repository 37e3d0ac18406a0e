using System.Diagnostics;
using System.Globalization;

namespace UtpPunch.Cli.Bench;

/// <summary>Lets all contestants of all contests have their turns: first each once, then each for the second time, and so on.</summary>
internal static class Tournament
{
    public static async Task<Standing[]> RunAsync(IEnumerable<Contest> contests, int rounds, CancellationToken cancellationToken)
    {
        Standing[] standings = [.. contests.Select(contest => new Standing(contest))];
        for (var round = 1; round <= rounds; round++)
        {
            foreach (var standing in standings.Where(standing => round <= standing.Contest.MostRounds))
            {
                foreach (var row in standing.Rows)
                {
                    await TakeTurnAsync(standing.Contest, row, round, cancellationToken);
                }
            }
        }

        return standings;
    }

    private static async Task TakeTurnAsync(Contest contest, Standing.Row row, int round, CancellationToken cancellationToken)
    {
        var started = Stopwatch.GetTimestamp();
        string outcome;
        try
        {
            var turn = await row.Contestant.TurnAsync(cancellationToken);
            row.Add(turn);
            outcome = string.Join(", ", turn.Zip(contest.Measures, (value, measure) => $"{Figures.Of(value)} {measure.Name}"));
        }
        catch (Exception error) when (error is ContestException or IOException or InvalidOperationException)
        {
            row.Fail(error.Message);
            outcome = $"failed: {error.Message}";
        }

        await Console.Error.WriteLineAsync(string.Create(
            CultureInfo.InvariantCulture, $"round {round}, {contest.Part}: {row.Contestant.Name}: {outcome}; {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s"));
    }
}
