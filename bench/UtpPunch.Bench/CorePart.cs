using UtpPunch.Cli.Bench;

namespace UtpPunch.Bench;

/// <summary>The core alone, and the cost of losses, reordering and recording.</summary>
internal static class CorePart
{
    public const string Name = "core";

    private static readonly Measure[] s_measures =
    [
        new("ns/packet", MoreIsBetter: false),
        new("sender", MoreIsBetter: false) { HasRatio = false },
        new("receiver", MoreIsBetter: false) { HasRatio = false },
        new("garbage B", MoreIsBetter: false),
    ];

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        yield return new BenchGroup(
            Name,
            "the core alone, two nodes in memory, 1400-byte packets, per packet that arrived",
            s_measures,
            [
                Over("in order", new Course()),
                Over("in order, recorded", new Course(IsRecorded: true)),
                Over("1 % lost", new Course(Lost: 10)),
                Over("2 % three packets late", new Course(Reordered: 20)),
            ])
        {
            Notes = ["Losses and reordering in both directions. Both ends: every packet encoded, copied and decoded; sender and receiver: their steps alone."],
        };

        BenchCase Over(string name, Course course) => new(name, _ =>
        {
            var run = CoreBench.Run(settings.Time / 4, course);
            return Task.FromResult<double[]>([run.Nanoseconds, run.Sender, run.Receiver, run.Garbage]);
        });
    }
}
