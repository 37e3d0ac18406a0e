using System.Diagnostics;
using Microsoft.FSharp.Collections;
using UtpPunch.Cli.Bench;
using UtpPunch.Sim;

namespace UtpPunch.Bench;

/// <summary>The simulator on one core, with all its checks.</summary>
internal static class SimPart
{
    public const string Name = "sim";
    private const int SwarmRuns = 100;

    // At 10 Mbit/s this takes a minute.
    private const int BulkRate = 1_250_000;
    private const int BulkBytes = 72_000_000;
    private const int CliffBytes = 40_000_000;
    private const int OnePercent = 10;

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        var part = Math.Min(1, settings.Time.TotalSeconds / BenchSettings.UsualSeconds);
        yield return new BenchGroup(
            Name,
            "the simulator on one core",
            [new("events/s", MoreIsBetter: true), new("times real time", MoreIsBetter: true)],
            [
                Runs($"{SwarmRuns} worlds with faults", Swarms),
                Runs("a transfer at 10 Mbit/s", () => Run(Bulk((int)(BulkBytes * part), Loss.Never), 1)),
            ])
        {
            Compares = false,
        };
        yield return new BenchGroup(
            Name,
            "the simulator: a transfer over 20 ms each way at 10 Mbit/s",
            [new("ns/B", MoreIsBetter: false), new("simulated s", MoreIsBetter: false)],
            [
                Transfer("nothing lost", Loss.Never),
                Transfer("1 % lost each way", Loss.NewEach(OnePercent)),
            ]);

        static BenchCase Runs(string name, Func<(double Events, double Simulated, double Seconds)> run) => new(name, _ =>
        {
            var (events, simulated, seconds) = run();
            return Task.FromResult<double[]>([events / seconds, simulated / seconds]);
        });

        BenchCase Transfer(string name, Loss loss) => new(name, _ =>
        {
            var bytes = (int)(CliffBytes * part);
            var (_, simulated, seconds) = Run(Bulk(bytes, loss, Milliseconds(20)), 1);
            return Task.FromResult<double[]>([seconds * 1e9 / bytes, simulated]);
        });
    }

    private static long Milliseconds(long count) => count * 1000;

    private static Scenario Bulk(int bytes, Loss loss, long? delay = null)
    {
        var calm = ScenarioModule.calm;
        var flow = new Flow(0, false, ScenarioModule.plan(bytes), ScenarioModule.plan(0));
        return new Scenario(
            calm.Seed, calm.NodeSeed, calm.Dialect, calm.A, calm.B, Way(Rate.NewConstant(BulkRate)), Way(PathModule.perfect.Rate),
            ListModule.OfSeq([flow]), calm.Forgery, Milliseconds(10_000_000), calm.PermuteTies);

        Sim.Path Way(Rate rate)
        {
            var path = PathModule.perfect;
            return new Sim.Path(
                delay ?? path.Delay, path.Lateness, rate, path.Queue, loss, path.Drops, path.Reorder, path.ReorderBy,
                path.Duplication, path.Copies, path.CopiesLate, path.Corruption, path.Harm, path.Mtu, path.Cuts);
        }
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
            ? throw new InvalidOperationException($"Run {run} violates {outcome.Violation.Value.Item1}: {outcome.Violation.Value.Item2}")
            : (outcome.Events, outcome.Applications.All.Select(app => app.ClosedAt).DefaultIfEmpty().Max() / 1e6, seconds);
    }
}
