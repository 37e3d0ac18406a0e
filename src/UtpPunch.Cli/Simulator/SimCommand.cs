using System.CommandLine;

namespace UtpPunch.Cli.Simulator;

/// <summary>The command line of `utp sim`, parsed.</summary>
internal sealed record SimOptions
{
    public ulong Seed { get; init; }

    /// <value>The runs of all shards together; null if <see cref="Time"/> limits them.</value>
    public int? Runs { get; init; }

    public TimeSpan? Time { get; init; }

    public Shard Shard { get; init; } = new(0, 1);

    public bool Json { get; init; }
}

/// <summary>Every <paramref name="Count"/>-th run, from the <paramref name="Index"/>-th on.</summary>
internal sealed record Shard(int Index, int Count);

/// <summary>The command line of `utp sim`.</summary>
internal static class SimCommand
{
    private const int UsualRuns = 200;

    private static readonly Option<ulong?> Seed = new("--seed")
    {
        Description = "Seed of the worlds; the same seed gives the same worlds (default: random, printed).",
        HelpName = "N",
        CustomParser = SimParsing.Seed,
    };

    private static readonly Option<int?> Runs = new("--runs")
    {
        Description = $"Number of worlds (default {UsualRuns}).",
        HelpName = "N",
        CustomParser = SimParsing.Runs,
    };

    private static readonly Option<TimeSpan?> Minutes = new("--minutes")
    {
        Description = "Run for this many minutes instead of a number of worlds.",
        HelpName = "M",
        CustomParser = SimParsing.Minutes,
    };

    private static readonly Option<Shard?> Shard = new("--shard")
    {
        Description = "Do part I (from 0) of N of the runs, to split them over N machines.",
        HelpName = "I/N",
        CustomParser = SimParsing.Shard,
    };

    private static readonly Option<bool> Json = new("--json")
    {
        Description = "Print the result as one JSON object.",
    };

    private static readonly Option<string?> Scenario = new("--scenario")
    {
        Description = "Run the one world that this file describes.",
        HelpName = "FILE",
    };

    private static readonly Option<string?> Trace = new("--trace")
    {
        Description = "With --scenario: write a trace of the run to this file.",
        HelpName = "OUT",
    };

    public static Command Create()
    {
        var command = new Command(
            "sim",
            "Run the protocol in simulated worlds with faults, and check its properties after every event.")
        {
            Seed, Runs, Minutes, Shard, Json, Scenario, Trace,
        };
        command.SetAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        var file = parsed.GetValue(Scenario);
        var isMany = new Option[] { Seed, Runs, Minutes, Shard }.Any(parsed.IsGiven);
        var mistake = (file, parsed.GetValue(Trace)) switch
        {
            (not null, _) when isMany => "--scenario takes no --seed, --runs, --minutes or --shard",
            (null, not null) => "--trace needs --scenario",
            (null, null) when parsed.IsGiven(Runs) && parsed.IsGiven(Minutes) => "--runs and --minutes exclude each other",
            _ => null,
        };
        if (mistake is not null)
        {
            throw new ToolException(ExitCodes.Usage, mistake);
        }

        if (file is not null)
        {
            return OneWorld.Run(file, parsed.GetValue(Trace), parsed.GetValue(Json));
        }

        return ManyWorlds.Run(new SimOptions
        {
            Seed = parsed.GetValue(Seed) ?? (uint)Random.Shared.Next(),
            Runs = parsed.GetValue(Minutes) is null ? parsed.GetValue(Runs) ?? UsualRuns : null,
            Time = parsed.GetValue(Minutes),
            Shard = parsed.GetValue(Shard) ?? new Shard(0, 1),
            Json = parsed.GetValue(Json),
        });
    }
}
