using System.CommandLine;

namespace UtpPunch.Cli.Simulator;

/// <summary>What `utp sim` was told.</summary>
internal sealed record SimOptions
{
    public ulong Seed { get; init; }

    /// <value>How many runs all shards make together; null to go by the time.</value>
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
        Description = "Where the worlds come from: the same seed gives the same ones. By default another one each time, which is printed.",
        HelpName = "N",
        CustomParser = SimParsing.Seed,
    };

    private static readonly Option<int?> Runs = new("--runs")
    {
        Description = $"How many worlds. {UsualRuns} by default.",
        HelpName = "N",
        CustomParser = SimParsing.Runs,
    };

    private static readonly Option<TimeSpan?> Minutes = new("--minutes")
    {
        Description = "Go on for that long instead.",
        HelpName = "M",
        CustomParser = SimParsing.Minutes,
    };

    private static readonly Option<Shard?> Shard = new("--shard")
    {
        Description = "Only every N-th run, from the I-th on: 0/2 and 1/2 on two machines make the runs that one makes without.",
        HelpName = "I/N",
        CustomParser = SimParsing.Shard,
    };

    private static readonly Option<bool> Json = new("--json")
    {
        Description = "Write the result as one JSON object.",
    };

    private static readonly Option<string?> Scenario = new("--scenario")
    {
        Description = "Run the one world that this file describes. Lines that begin with # are remarks.",
        HelpName = "FILE",
    };

    private static readonly Option<string?> Trace = new("--trace")
    {
        Description = "With --scenario: write the trace of the run, for utp trace and utp replay.",
        HelpName = "OUT",
    };

    public static Command Create()
    {
        var command = new Command(
            "sim",
            "Let the protocol run in imagined worlds whose networks lose, repeat, delay, shuffle and spoil datagrams, whose clocks jump and"
            + " whose applications stall, with every property checked after every event. The first failure is made as small as it gets,"
            + " written to files here, and ends it with code 1.")
        {
            Seed, Runs, Minutes, Shard, Json, Scenario, Trace,
        };
        command.SetAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        var file = parsed.GetValue(Scenario);
        var isMany = new Option[] { Seed, Runs, Minutes, Shard }.Any(option => parsed.GetResult(option) is not null);
        var mistake = (file, parsed.GetValue(Trace)) switch
        {
            (not null, _) when isMany => "--scenario is one world, so it takes no --seed, --runs, --minutes or --shard",
            (null, not null) => "--trace needs the world that --scenario describes",
            (null, null) when parsed.GetResult(Runs) is not null && parsed.GetResult(Minutes) is not null => "--runs and --minutes are two ways to say when to end: give one",
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
