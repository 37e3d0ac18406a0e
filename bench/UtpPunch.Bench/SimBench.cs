using System.Diagnostics;
using System.Globalization;
using Microsoft.FSharp.Collections;
using UtpPunch.Sim;

namespace UtpPunch.Bench;

/// <summary>The simulator on one core, with everything checked that it checks.</summary>
internal static class SimBench
{
    private const int SwarmRuns = 100;

    // 10 Mbit/s, for which this takes a minute.
    private const int BulkRate = 1_250_000;
    private const int BulkBytes = 72_000_000;

    public static void Report()
    {
        Run(Bulk(BulkBytes / 20), 1);
        var swarm = Best(Swarms);
        Say($"simulator, {SwarmRuns} worlds full of faults: {swarm.Events / swarm.Seconds:F0} events/s on one core");
        var bulk = Best(() => Run(Bulk(BulkBytes), 1));
        Say($"simulator, {bulk.Simulated:F0} s of a transfer at 10 Mbit/s: {bulk.Events / bulk.Seconds:F0} events/s on one core, {bulk.Simulated / bulk.Seconds:F0} times real time");
    }

    private static Scenario Bulk(int bytes)
    {
        var calm = ScenarioModule.calm;
        var path = PathModule.perfect;
        var there = new Sim.Path(
            path.Delay, path.Lateness, Rate.NewConstant(BulkRate), path.Queue, path.Loss, path.Drops, path.Reorder, path.ReorderBy,
            path.Duplication, path.Copies, path.CopiesLate, path.Corruption, path.Harm, path.Mtu, path.Cuts);
        var flow = new Flow(0, false, ScenarioModule.plan(bytes), ScenarioModule.plan(0));
        return new Scenario(
            calm.Seed, calm.NodeSeed, calm.Dialect, calm.A, calm.B, there, path, ListModule.OfSeq([flow]), calm.Forgery, calm.HealAt, calm.PermuteTies);
    }

    private static (double Events, double Simulated, double Seconds) Swarms() =>
        Enumerable.Range(0, SwarmRuns).Select(run => Run(Swarm.scenario(Campaign.seedOf(1, run)), run)).Aggregate(
            (sum, next) => (sum.Events + next.Events, sum.Simulated + next.Simulated, sum.Seconds + next.Seconds));

    private static (double Events, double Simulated, double Seconds) Run(Scenario scenario, int run)
    {
        var started = Stopwatch.GetTimestamp();
        var outcome = Simulation.run(scenario);
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        return outcome.Violation.IsValueSome
            ? throw new InvalidOperationException($"Run {run} does not keep {outcome.Violation.Value.Item1}: {outcome.Violation.Value.Item2}")
            : (outcome.Events, outcome.World.Apps.Select(app => app.ClosedAt).DefaultIfEmpty().Max() / 1e6, seconds);
    }

    // Whatever else the machine does only adds.
    private static (double Events, double Simulated, double Seconds) Best(Func<(double Events, double Simulated, double Seconds)> measure) =>
        Enumerable.Range(0, 3).Select(_ => measure()).ToArray().MinBy(run => run.Seconds);

    private static void Say(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
