using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>A kind of stream over an emulated path. The option `--only` chooses it by its key.</summary>
internal sealed record WanContestant(string Key, BulkPair Pair);

/// <summary>Bulk data over emulated paths with delays, rates, queues and losses, one connection; from the first byte on, or after a change of
/// the path.</summary>
internal static class Wan
{
    public const string Name = "wan";

    private static readonly TimeSpan s_firstByte = TimeSpan.FromSeconds(20);
    private static readonly string[] s_controllersOfTcp = ["cubic", "bbr"];

    // The congestion controllers of our streams; null is the default of a node.
    private static readonly string?[] s_controllers = [.. UtpCongestionControl.All.Select(kind => kind.Name)];

    private static readonly Measure[] s_measures =
    [
        new("Mbit/s", MoreIsBetter: true),
        new("queue p95 ms", MoreIsBetter: false) { HasRatio = false },
        new("queue loss %", MoreIsBetter: false) { HasRatio = false },
        new("late p99 ms", MoreIsBetter: false) { HasRatio = false },
        new("late max ms", MoreIsBetter: false) { HasRatio = false },
    ];

    private static readonly string[] s_notes =
    [
        "queue: the time of packets in the link's queue, and the share that did not fit into it.",
        "late: how late the link handed packets over, because this machine was busy. Distrust rows with a p99 above 1 ms.",
    ];

    /// <param name="foreign">Other libraries.</param>
    public static IEnumerable<BenchGroup> Groups(BenchSettings settings, params WanContestant[] foreign)
    {
        WanMachine.Check();
        var contestants = Chosen(settings.Only, [.. Tcp(), .. Own(), .. foreign]);
        string[] notes = s_notes;
        foreach (var path in WanPath.All.Where(path => settings.Paths.Length == 0 || settings.Paths.Contains(path.Name)))
        {
            var time = settings.GivenTime ?? path.Time;
            var from = path.Change is null ? $"from the first byte on, {time.TotalSeconds} s"
                : $"{time.TotalSeconds} s, {path.Change.Recovery.TotalSeconds} s after the change";
            yield return new BenchGroup(Name, $"{path}; {from}", s_measures, [.. contestants.Select(one => Case(path, one.Pair, time))])
            {
                Time = time,
                Notes = notes,
            };
            notes = [];
        }
    }

    private static WanContestant[] Chosen(string[] only, WanContestant[] all)
    {
        BenchOptions.Refuse(only.Where(word => !all.Any(one => IsMeant(word, one))), "a contestant", all.Select(one => one.Key));
        return only.Length == 0 ? all : [.. all.Where(one => only.Any(word => IsMeant(word, one)))];

        static bool IsMeant(string word, WanContestant one) =>
            one.Key == word || one.Key.StartsWith($"{word}-", StringComparison.Ordinal);
    }

    private static IEnumerable<WanContestant> Tcp() =>
        s_controllersOfTcp.Intersect(WanMachine.CongestionControls(), StringComparer.Ordinal)
            .Select(name => new WanContestant($"tcp-{name}", Pair($".NET TCP, {name}", [.. Bulk.Tcp, $"congestion={name}"])));

    private static IEnumerable<WanContestant> Own() => s_controllers.Select(name => name is null
        ? new WanContestant("utp", Pair("UtpPunch", Bulk.Discovered))
        : new WanContestant($"utp-{name}", Pair($"UtpPunch, {name}", [.. Bulk.Discovered, $"congestion={name}"])));

    private static BulkPair Pair(string name, params string[] protocol) => new(
        name,
        Worker.Role("read", [.. protocol, $"ip={WanLink.ReceiverIp}"]),
        port => Worker.Role("write", [.. protocol, $"ip={WanLink.SenderIp}", $"host={WanLink.ReceiverIp}", $"port={port}"]));

    private static BenchCase Case(WanPath path, BulkPair pair, TimeSpan time)
    {
        // The contestants of a round lose the same packets, by number.
        var round = 0UL;
        return new BenchCase(pair.Name, token => MeasureAsync(path, pair, time, ++round, token));
    }

    private static async Task<double[]> MeasureAsync(
        WanPath path, BulkPair pair, TimeSpan time, ulong seed, CancellationToken cancellationToken)
    {
        // Everything below ends with these objects, whether the run succeeds, fails or is cancelled.
        using var link = await WanLink.CreateAsync(path, seed, cancellationToken);
        using var reader = link.Receiver.Start(pair.Reader);
        var port = await reader.PortAsync(cancellationToken);
        using var writer = link.Sender.Start(pair.Writer(port));
        await writer.WaitAsync("started", cancellationToken);
        var before = await FirstByteAsync(reader, cancellationToken);
        if (path.Change is { } change)
        {
            await Task.Delay(change.After, cancellationToken);
            link.Change(change);
            await Task.Delay(change.Recovery, cancellationToken);
            before = await reader.MarkAsync(cancellationToken);
        }

        link.Meter.Reset();
        await Task.Delay(time, cancellationToken);
        var after = await reader.MarkAsync(cancellationToken);
        var figures = link.Meter.Read();
        link.Check();
        double bytes = after.Counts.Sum() - before.Counts.Sum();
        var rate = bytes * 8 / 1e6 / (after.Seconds - before.Seconds);
        return [rate, figures.QueueP95, figures.Overflow, figures.LateP99, figures.LateMost];
    }

    private static async Task<Mark> FirstByteAsync(Worker reader, CancellationToken cancellationToken)
    {
        var started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < s_firstByte)
        {
            var mark = await reader.MarkAsync(cancellationToken);
            if (mark.Counts.Sum() > 0)
            {
                return mark;
            }

            await Task.Delay(1, cancellationToken);
        }

        throw new BenchException($"no byte has arrived within {s_firstByte.TotalSeconds} s");
    }
}
