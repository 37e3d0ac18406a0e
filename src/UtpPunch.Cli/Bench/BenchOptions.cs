using System.CommandLine;
using System.CommandLine.Parsing;

namespace UtpPunch.Cli.Bench;

/// <summary>The options that set what is measured and for how long.</summary>
internal sealed class BenchOptions
{
    private const double LeastSeconds = 0.02;
    private const double MostSeconds = 60;

    private static readonly string[] s_paths = [.. WanPath.All.Select(path => path.Name)];

    private readonly Option<int> _rounds = new("--rounds")
    {
        Description = "Number of rounds.",
        HelpName = "N",
        CustomParser = Count,
        DefaultValueFactory = _ => BenchSettings.UsualRounds,
    };

    private readonly Option<double?> _seconds = new("--seconds")
    {
        Description = $"Time of each measurement in a round (default: {BenchSettings.UsualSeconds}; for wan that of the path).",
        HelpName = "SECONDS",
        CustomParser = SecondsOf,
    };

    private readonly Option<string[]> _paths = new("--path")
    {
        Description = $"Path of the part {Wan.Name}, may be repeated: {string.Join(", ", s_paths)} (default: all).",
        HelpName = "PATH",
    };

    private readonly Option<string[]> _only = new("--only")
    {
        Description = $"Contestant of the part {Wan.Name}, or a group, may be repeated: utp, tcp, tcp-cubic, tcp-bbr (default: all).",
        HelpName = "NAME",
    };

    private readonly Option<string[]> _parts;
    private readonly string[] _all;

    public BenchOptions(IEnumerable<string> parts)
    {
        _all = [.. parts];
        _parts = new Option<string[]>("--part", "-p")
        {
            Description = $"Part to measure, may be repeated: {string.Join(", ", _all)} (default: {LocalParts.Unasked}).",
            HelpName = "PART",
        };
    }

    public void AddTo(Command command)
    {
        command.Add(_parts);
        command.Add(_rounds);
        command.Add(_seconds);
        command.Add(_paths);
        command.Add(_only);
    }

    public BenchSettings Read(ParseResult parsed)
    {
        var settings = new BenchSettings
        {
            Rounds = parsed.GetValue(_rounds),
            GivenTime = parsed.GetValue(_seconds) is { } seconds ? TimeSpan.FromSeconds(seconds) : null,
            Paths = parsed.GetValue(_paths) ?? [],
            Only = parsed.GetValue(_only) ?? [],
        };
        Refuse(settings.Paths.Except(s_paths, StringComparer.Ordinal), "a path", s_paths);
        return settings;
    }

    /// <summary>The parts that were chosen, by the option or as arguments; empty means all.</summary>
    public string[] PartsOf(ParseResult parsed, params string[] more)
    {
        string[] parts = [.. parsed.GetValue(_parts) ?? [], .. more];
        Refuse(parts.Except(_all, StringComparer.Ordinal), "a part", _all);
        var isWan = parts.Contains(Wan.Name);
        return (isWan, parsed.IsGiven(_paths), parsed.IsGiven(_only)) switch
        {
            (false, true, _) => throw new ToolException(ExitCodes.Usage, $"--path is an option of --part {Wan.Name}"),
            (false, _, true) => throw new ToolException(ExitCodes.Usage, $"--only is an option of --part {Wan.Name}"),
            _ => parts,
        };
    }

    /// <summary>Throws if a name is unknown.</summary>
    public static void Refuse(IEnumerable<string> unknown, string what, IEnumerable<string> known)
    {
        if (unknown.FirstOrDefault() is { } name)
        {
            throw new ToolException(ExitCodes.Usage, $"'{name}' is not {what}: {string.Join(", ", known)}");
        }
    }

    private static int Count(ArgumentResult result) => Parsing.Whole(result, 1, 1000, "a number of rounds");

    private static double? SecondsOf(ArgumentResult result) => Parsing.Decimal(result, LeastSeconds, MostSeconds, "a number of seconds");
}
