using System.CommandLine.Parsing;
using System.Globalization;

namespace UtpPunch.Cli.Simulator;

/// <summary>Parsers of the options of `utp sim`.</summary>
internal static class SimParsing
{
    public static ulong? Seed(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (ulong.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var seed))
        {
            return seed;
        }

        result.AddError($"'{word}' is not a seed: a whole number from 0 to {ulong.MaxValue}");
        return null;
    }

    public static int? Runs(ArgumentResult result) =>
        Parsing.Whole(result, 1, 1_000_000_000, "a number of runs") is var runs and > 0 ? runs : null;

    public static TimeSpan? Minutes(ArgumentResult result) =>
        Parsing.Decimal(result, 0.001, 100_000, "a number of minutes") is var minutes and > 0 ? TimeSpan.FromMinutes(minutes) : null;

    public static Shard? Shard(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (word.Split('/') is [var first, var second]
            && int.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out var index)
            && int.TryParse(second, NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            && index < count)
        {
            return new Shard(index, count);
        }

        result.AddError($"'{word}' is not a shard: I/N with I from 0 to N-1, such as 0/2");
        return null;
    }
}
