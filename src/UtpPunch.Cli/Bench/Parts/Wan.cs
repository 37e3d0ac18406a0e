using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>A kind of stream over an emulated path. The key is what `--only` names.</summary>
internal sealed record WanContestant(string Key, BulkPair Pair);

/// <summary>Bulk data over emulated paths with delays, rates, queues and losses, one connection; from the first byte on, or after a change of
/// the path.</summary>
internal static class Wan
{
    public const string Name = "wan";

    private static readonly TimeSpan s_firstByte = TimeSpan.FromSeconds(20);
    private static readonly string[] s_controllersOfTcp = ["cubic", "bbr"];

    private static readonly Measure[] s_measures =
    [
        new("Mbit/s", MoreIsBetter: true),
        new("queue p95, ms", MoreIsBetter: false) { HasRatio = false },
        new("lost in the queue, %", MoreIsBetter: false) { HasRatio = false },
        new("CPU s/GB", MoreIsBetter: false) { HasRatio = false },
        new("late p99, ms", MoreIsBetter: false) { HasRatio = false },
        new("late most, ms", MoreIsBetter: false) { HasRatio = false },
    ];

    /// <param name="foreign">Other libraries.</param>
    public static IEnumerable<BenchGroup> Groups(BenchSettings settings, params WanContestant[] foreign)
    {
        WanMachine.Check();
        WanContestant[] contestants = [.. Tcp(), .. Own(), .. foreign];
        contestants = [.. contestants.Where(one => settings.Chooses(one.Key))];
        foreach (var path in WanPath.All.Where(path => settings.Paths.Length == 0 || settings.Paths.Contains(path.Name)))
        {
            var time = settings.GivenTime ?? path.Time;
            var from = path.Change is { } change ? $"over {time.TotalSeconds} s from {change.Recovery.TotalSeconds} s after the change on" : $"over the first {time.TotalSeconds} s";
            yield return new BenchGroup(Name, $"{path}; goodput {from}", s_measures, [.. contestants.Select(one => Case(path, one.Pair, time))]);
        }
    }

    private static IEnumerable<WanContestant> Tcp() =>
        s_controllersOfTcp.Intersect(WanMachine.CongestionControls(), StringComparer.Ordinal).Select(name => new WanContestant(
            $"tcp-{name}", Pair($".NET TCP, {name}", [.. Bulk.Tcp, $"congestion={name}"])));

    private static IEnumerable<WanContestant> Own() => [new WanContestant("utp", Pair("UtpPunch", Bulk.Discovered))];

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
        using var link = new WanLink(path, seed);
        using var reader = link.Receiver.Run(() => new Worker(pair.Reader));
        var port = await reader.PortAsync(cancellationToken);
        using var writer = link.Sender.Run(() => new Worker(pair.Writer(port)));
        await writer.WaitAsync("started", cancellationToken);
        var before = await FirstByteAsync(reader, cancellationToken);
        if (path.Change is { } change)
        {
            await Task.Delay(change.After, cancellationToken);
            link.Change(change);
            await Task.Delay(change.Recovery, cancellationToken);
            before = await reader.MarkAsync(cancellationToken);
        }

        var processor = (await writer.MarkAsync(cancellationToken)).Processor + before.Processor;
        link.Meter.Reset();
        await Task.Delay(time, cancellationToken);
        var after = await reader.MarkAsync(cancellationToken);
        var figures = link.Meter.Read();
        processor = (await writer.MarkAsync(cancellationToken)).Processor + after.Processor - processor;
        double bytes = after.Counts.Sum() - before.Counts.Sum();
        return
        [
            bytes * 8 / 1e6 / (after.Seconds - before.Seconds), figures.QueueP95, figures.Overflow, processor / (bytes / 1e9),
            figures.LateP99, figures.LateMost,
        ];
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
