using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace UtpPunch.Cli.Bench;

/// <summary>The words that say how much is measured, and what.</summary>
internal sealed class BenchOptions
{
    private const double LeastSeconds = 0.02;
    private const double MostSeconds = 60;

    private readonly Option<int> _rounds = new("--rounds")
    {
        Description = $"How often each contestant has its turn, {BenchSettings.UsualRounds} by default.",
        HelpName = "N",
        CustomParser = Count,
        DefaultValueFactory = _ => BenchSettings.UsualRounds,
    };

    private readonly Option<double> _seconds = new("--seconds")
    {
        Description = $"How long each is measured in its turn, {BenchSettings.UsualSeconds} by default. Whatever is counted otherwise follows from it.",
        HelpName = "S",
        CustomParser = SecondsOf,
        DefaultValueFactory = _ => BenchSettings.UsualSeconds,
    };

    private readonly Option<string[]> _parts;
    private readonly string[] _all;

    public BenchOptions(IEnumerable<string> parts)
    {
        _all = [.. parts];
        _parts = new Option<string[]>("--part", "-p")
        {
            Description = $"Only this part, or these when given several times: {string.Join(", ", _all)}.",
            HelpName = "PART",
        };
    }

    public void AddTo(Command command)
    {
        command.Add(_parts);
        command.Add(_rounds);
        command.Add(_seconds);
    }

    public BenchSettings Read(ParseResult parsed) => new()
    {
        Rounds = parsed.GetValue(_rounds),
        Time = TimeSpan.FromSeconds(parsed.GetValue(_seconds)),
    };

    /// <summary>The parts that were asked for, here and as arguments; none for the usual ones.</summary>
    public string[] PartsOf(ParseResult parsed, params string[] more)
    {
        string[] parts = [.. parsed.GetValue(_parts) ?? [], .. more];
        return parts.FirstOrDefault(part => !_all.Contains(part)) is { } stranger
            ? throw new ToolException(ExitCodes.Usage, $"there is no part '{stranger}': they are {string.Join(", ", _all)}")
            : parts;
    }

    private static int Count(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count is >= 1 and <= 1000)
        {
            return count;
        }

        result.AddError($"'{word}' is not a number of rounds, from 1 to 1000");
        return 0;
    }

    private static double SecondsOf(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (double.TryParse(word, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds)
            && seconds is >= LeastSeconds and <= MostSeconds)
        {
            return seconds;
        }

        result.AddError(string.Create(CultureInfo.InvariantCulture, $"'{word}' is not a number of seconds, from {LeastSeconds} to {MostSeconds}"));
        return 0;
    }
}
