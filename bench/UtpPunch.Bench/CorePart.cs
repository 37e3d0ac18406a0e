using UtpPunch.Cli.Bench;

namespace UtpPunch.Bench;

/// <summary>The core alone, and what losses, a changed order and a recording cost it.</summary>
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

    public static IEnumerable<Contest> Contests(BenchSettings settings)
    {
        yield return new Contest(
            Name,
            "the core alone, two nodes in memory, 1400-byte packets, by packet that arrived",
            s_measures,
            [
                Over("in order", new Course()),
                Over("in order, recorded", new Course(IsRecorded: true)),
                Over("1 % lost", new Course(Lost: 10)),
                Over("2 % three packets late", new Course(Reordered: 20)),
            ])
        {
            Notes = ["Each way alike. Both ends together, with every packet encoded, copied and decoded; sender and receiver: their steps alone."],
        };

        Contestant Over(string name, Course course) => new(name, _ =>
        {
            var turn = CoreBench.Run(settings.Time / 4, course);
            return Task.FromResult<double[]>([turn.Nanoseconds, turn.Sender, turn.Receiver, turn.Garbage]);
        });
    }
}
