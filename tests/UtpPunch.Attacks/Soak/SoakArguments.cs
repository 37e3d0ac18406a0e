using System.Globalization;

namespace UtpPunch.Attacks.Soak;

/// <summary>The command line of a soak run, parsed.</summary>
internal sealed record SoakArguments
{
    public const string Usage = """
        soak [OPTIONS]          keep two nodes busy over a bad path, with floods and faults, and check that nothing grows
          --hours N             how long; default 1
          --minutes N           the same in minutes; both are added
          --load N              streams at the same time; default 4
          --seed N              the order of events; default 1
          --markdown FILE       write the report
          --library FOLDER      use this build of UtpPunch.Net.dll, such as an older one
        """;

    public TimeSpan Duration { get; private init; } = TimeSpan.FromHours(1);

    public int Load { get; private init; } = 4;

    public int Seed { get; private init; } = 1;

    public string? Markdown { get; private init; }

    public string? Library { get; private init; }

    public static SoakArguments Parse(IEnumerable<string> arguments)
    {
        var parsed = new SoakArguments();
        TimeSpan? duration = null;
        var words = new Queue<string>(arguments);
        while (words.TryDequeue(out var option))
        {
            if (!words.TryDequeue(out var value))
            {
                throw new UsageException($"'{option}' is not an option, or its value is missing\n{Usage}");
            }

            switch (option)
            {
                case "--hours":
                    duration = (duration ?? TimeSpan.Zero) + TimeSpan.FromHours(Number(value));
                    break;
                case "--minutes":
                    duration = (duration ?? TimeSpan.Zero) + TimeSpan.FromMinutes(Number(value));
                    break;
                case "--load":
                    parsed = parsed with { Load = (int)Math.Clamp(Number(value), 1, 1000) };
                    break;
                case "--seed":
                    parsed = parsed with { Seed = (int)Number(value) };
                    break;
                case "--markdown":
                    parsed = parsed with { Markdown = value };
                    break;
                case "--library" when File.Exists(Path.Combine(value, "UtpPunch.Net.dll")):
                    parsed = parsed with { Library = value };
                    break;
                default:
                    throw new UsageException($"'{option} {value}' is not valid\n{Usage}");
            }
        }

        return parsed with { Duration = duration ?? parsed.Duration };
    }

    private static double Number(string value) =>
        double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number <= 100_000
            ? number
            : throw new UsageException($"'{value}' is not a number from 0 to 100000");
}
