using UtpPunch.Sim;

namespace UtpPunch.Cli.Simulator;

/// <summary>`utp sim` without `--scenario`.</summary>
internal static class ManyWorlds
{
    public static int Run(SimOptions options)
    {
        using var interruption = new Interruption();
        using var stopping = interruption.Stop.Register(() => Environment.Exit(interruption.ExitCode ?? ExitCodes.Failure));
        var fleet = new Fleet(options, interruption.Finish);
        SimProgress.Show(fleet, options);
        var found = fleet.Failure is { Scenario: { } scenario } failure ? Finding.Of(failure, scenario, interruption.Finish) : null;
        var files = found?.Save();
        var report = new SimReport(options, fleet, found, files, interruption.ExitCode is not null);
        Console.Out.Write(TerminalText.EscapeLines(options.Json ? report.ToJson() : report.ToString()));
        Console.Out.Flush();
        if (fleet.Failure is { } failed)
        {
            throw new ToolException(ExitCodes.Failure, $"run {failed.Run} of seed {options.Seed} violates the property {failed.Property}");
        }

        if (interruption.ExitCode is { } code)
        {
            ErrorOutput.Write("interrupted");
            return code;
        }

        return ExitCodes.Success;
    }
}

/// <summary>A failure, the smallest scenario found that violates the same property, and how it does.</summary>
internal sealed record Finding(FailedRun Failure, Scenario Scenario, string Why)
{
    private const int Budget = 2_000;
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(1);

    /// <summary>Shrinks the scenario as long as it violates the same property.</summary>
    public static Finding Of(FailedRun failure, Scenario scenario, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(Timeout);
        var least = Shrink.minimise(
            Microsoft.FSharp.Core.FSharpFunc<Scenario, bool>.FromConverter(
                smaller => !timeout.IsCancellationRequested && Check(smaller) is { } found && found.Property == failure.Property),
            Budget,
            scenario);
        return new Finding(failure, least, Check(least)?.Why ?? failure.Why);
    }

    /// <summary>Writes the scenario and the trace into the current directory; their names.</summary>
    public (string Scenario, string Trace) Save()
    {
        var name = $"sim-{Scenario.Seed}-{Failure.Property}";
        var scenario = $"{name}.scenario";
        var trace = $"{name}.utrace";
        Files.Write(scenario, [$"# {Failure.Property}: {Why.ReplaceLineEndings(" ")}", ScenarioText.print(Scenario)]);
        Files.WriteTrace(trace, Scenario, Failure.Property, Why);
        return (scenario, trace);
    }

    private static (string Property, string Why)? Check(Scenario scenario)
    {
        var (_, violation) = Campaign.check(scenario);
        return violation.IsValueSome ? violation.Value : null;
    }
}
