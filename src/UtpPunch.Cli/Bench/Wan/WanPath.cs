using Microsoft.FSharp.Collections;
using UtpPunch.Sim;
using SimPath = UtpPunch.Sim.Path;

namespace UtpPunch.Cli.Bench;

/// <summary>A path between two hosts: the delay is that of each direction, and so are the rate and the queue; only packets in the direction
/// of the data are lost.</summary>
/// <param name="DelayMs">One way.</param>
/// <param name="MegabitsPerSecond">Of IP packets.</param>
/// <param name="QueueBytes">Drop tail; of packets without 28 bytes of headers each, as in the simulator.</param>
/// <param name="LossPermille">Independent of each other, before the queue.</param>
internal sealed record WanPath(string Name, int DelayMs, int MegabitsPerSecond, int QueueBytes, int LossPermille)
{
    private const double UsualSeconds = 10;

    /// <summary>The paths of `utp bench --part wan`.</summary>
    public static IReadOnlyList<WanPath> All { get; } =
    [
        new("r1", 25, 100, 625_000, 0),
        new("r2", 25, 100, 625_000, 10),
        new("r3", 50, 20, 250_000, 0),
        new("r4", 100, 50, 1_250_000, 20),
        new("far", 100, 200, 5_000_000, 0) { Time = TimeSpan.FromSeconds(15) },
        new("step80", 10, 100, 1_000_000, 0) { Change = new WanChange(80) },
        new("step300", 10, 100, 1_000_000, 0) { Change = new WanChange(300) },
    ];

    /// <value>The time over which the goodput is measured, unless an option sets another.</value>
    public TimeSpan Time { get; init; } = TimeSpan.FromSeconds(UsualSeconds);

    /// <value>How the path changes during a transfer; null if it does not.</value>
    public WanChange? Change { get; init; }

    /// <summary>The direction of the data.</summary>
    public SimPath Forward(int laterByMs = 0) => Direction(LossPermille == 0 ? Loss.Never : Loss.NewEach(LossPermille), laterByMs);

    /// <summary>The direction of the acknowledgements.</summary>
    public SimPath Back() => Direction(Loss.Never, 0);

    public override string ToString()
    {
        var queue = QueueBytes % 1_000_000 == 0 ? $"{QueueBytes / 1_000_000} MB" : $"{QueueBytes / 1000} kB";
        var loss = LossPermille == 0 ? "" : $", {LossPermille / 10.0} % lost";
        var change = Change is null ? "" : $", {Change.LaterByMs} ms more from {Change.After.TotalSeconds} s on";
        return $"{Name}: {DelayMs} ms each way, {MegabitsPerSecond} Mbit/s, queue {queue}{loss}{change}";
    }

    private SimPath Direction(Loss loss, int laterByMs)
    {
        var plain = PathModule.perfect;
        return new SimPath(
            (DelayMs + laterByMs) * 1000, plain.Lateness, Rate.NewConstant(MegabitsPerSecond * 125_000), Queue.NewTail(QueueBytes), loss,
            FSharpList<Drop>.Empty, plain.Reorder, plain.ReorderBy, plain.Duplication, plain.Copies, plain.CopiesLate, plain.Corruption,
            plain.Harm, FSharpList<Narrow>.Empty, FSharpList<Cut>.Empty);
    }
}

/// <summary>The direction of the data becomes longer during the transfer.</summary>
internal sealed record WanChange(int LaterByMs)
{
    /// <value>From the first byte on.</value>
    public TimeSpan After { get; } = TimeSpan.FromSeconds(8);

    /// <value>From the change to the beginning of the measurement.</value>
    public TimeSpan Recovery { get; } = TimeSpan.FromSeconds(10);
}
