using System.CommandLine.Parsing;
using System.Globalization;

namespace UtpPunch.Cli.Simulator;

/// <summary>What the words behind `utp sim` mean.</summary>
internal static class SimParsing
{
    public static ulong? Seed(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (ulong.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var seed))
        {
            return seed;
        }

        result.AddError($"'{word}' is not a seed: that is a whole number from 0 to {ulong.MaxValue}");
        return null;
    }

    public static int? Runs(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var runs) && runs is >= 1 and <= 1_000_000_000)
        {
            return runs;
        }

        result.AddError($"'{word}' is not a number of runs, from 1 to 1000000000");
        return null;
    }

    public static TimeSpan? Minutes(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (double.TryParse(word, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var minutes) && minutes is >= 0.001 and <= 100_000)
        {
            return TimeSpan.FromMinutes(minutes);
        }

        result.AddError($"'{word}' is not a number of minutes, from 0.001 to 100000");
        return null;
    }

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

        result.AddError($"'{word}' is not a shard: I/N, such as 0/2 and 1/2");
        return null;
    }
}
