using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>A reader and a writer of bulk data; the writer is started with the reader's port.</summary>
/// <param name="IsReliable">Whether every byte must arrive.</param>
internal sealed record BulkPair(string Name, ProcessStartInfo Reader, Func<int, ProcessStartInfo> Writer, bool IsReliable = true)
{
    /// <summary>Streams of UtpPunch or TCP.</summary>
    public static BulkPair Streams(string name, int connections, params string[] protocol) => new(
        name,
        Worker.Role("read", [.. protocol, $"connections={connections}"]),
        port => Worker.Role("write", [.. protocol, $"connections={connections}", $"port={port}"]));
}

/// <summary>The result of one run, over the measured interval.</summary>
/// <param name="Counts">Bytes at the reader, by stream.</param>
/// <param name="Processor">Processor seconds, user and system, of both processes.</param>
/// <param name="Retransmits">Over the whole transfer.</param>
internal sealed record BulkRun(long[] Counts, double Seconds, double Processor, Retransmits Retransmits)
{
    public double Bytes => Counts.Sum();

    public double MegabytesPerSecond => Bytes / Seconds / 1e6;

    public double ProcessorPerGigabyte => Processor / (Bytes / 1e9);

    /// <summary>Jain's index of fairness: 1 if all streams got the same, 1/n if one got all.</summary>
    public double Fairness => Bytes * Bytes / (Counts.Length * Counts.Sum(count => (double)count * count));
}

/// <summary>Bulk data from one process to another.</summary>
internal static class Bulk
{
    public const string Name = "bulk";

    public static readonly Measure[] Measures = [new("MB/s", MoreIsBetter: true), new("CPU s/GB", MoreIsBetter: false)];

    public static readonly string[] Fixed = ["protocol=utp", "packet=1400"];
    public static readonly string[] Discovered = ["protocol=utp"];
    public static readonly string[] Tcp = ["protocol=tcp"];

    private static readonly string[] s_otherControllers =
        [.. UtpCongestionControl.All.Except([new UtpNodeOptions().CongestionControl]).Select(control => control.Name)];

    /// <param name="foreign">Other libraries, which send over one connection.</param>
    public static IEnumerable<BenchGroup> Groups(BenchSettings settings, params BulkPair[] foreign)
    {
        foreach (var connections in new[] { 1, 4, settings.Many })
        {
            List<BulkPair> pairs =
            [
                BulkPair.Streams("UtpPunch, 1400-byte packets", connections, Fixed),
                BulkPair.Streams("UtpPunch, packets of the path MTU", connections, Discovered),
                .. s_otherControllers.Select(name =>
                    BulkPair.Streams($"UtpPunch, path MTU, {name}", connections, [.. Discovered, $"congestion={name}"])),
                BulkPair.Streams(".NET TCP", connections, Tcp),
            ];
            string[] notes = [];
            if (connections == 1)
            {
                pairs.Insert(1, BulkPair.Streams("UtpPunch, 1400-byte packets, recorded", 1, [.. Fixed, "recorded=1"]));
                pairs.Add(Datagrams("raw UDP, one call per 1400 bytes", "udp"));
                if (SegmentedRoles.IsSupported)
                {
                    pairs.Add(Datagrams("raw UDP, UDP_SEGMENT and UDP_GRO", "gso"));
                }

                pairs.AddRange(foreign);
                notes = ["Raw UDP: bytes that arrived; no retransmission."];
            }

            var title = $"bulk, {connections} connection{(connections == 1 ? "" : "s")}, loopback, two processes, bytes at the reader";
            yield return new BenchGroup(Name, title, Measures, [.. pairs.Select(pair => BenchCase(settings, pair))]) { Notes = notes };
        }
    }

    /// <summary>One run: after the warm-up both ends report their counters twice. At the end the bytes read must be the bytes written.</summary>
    public static async Task<BulkRun> MeasureAsync(
        BenchSettings settings, BulkPair pair, CancellationToken cancellationToken, Func<int, int>? via = null)
    {
        using var reader = new Worker(pair.Reader);
        var port = await reader.PortAsync(cancellationToken);
        using var writer = new Worker(pair.Writer(via?.Invoke(port) ?? port));
        await writer.WaitAsync("started", cancellationToken);
        await Task.Delay(settings.WarmUp, cancellationToken);
        var before = await MarkAsync(reader, writer, cancellationToken);
        await Task.Delay(settings.Time, cancellationToken);
        var after = await MarkAsync(reader, writer, cancellationToken);
        writer.Stop();
        if (pair.IsReliable)
        {
            reader.Stop();                              // a slow reader now reads at full speed
        }

        var (written, retransmits) = await writer.DoneAsync(cancellationToken);
        reader.Stop();
        var (read, _) = await reader.DoneAsync(cancellationToken);
        if (pair.IsReliable ? !read.SequenceEqual(written) : read.Sum() > written.Sum())
        {
            throw new BenchException($"{read.Sum()} bytes were read, {written.Sum()} written");
        }

        var counts = after.Reader.Counts.Zip(before.Reader.Counts, (late, early) => late - early).ToArray();
        var processor = after.Reader.Processor - before.Reader.Processor + after.Writer.Processor - before.Writer.Processor;
        return new BulkRun(counts, after.Reader.Seconds - before.Reader.Seconds, processor, retransmits);
    }

    private static BenchCase BenchCase(BenchSettings settings, BulkPair pair) => new(pair.Name, async cancellationToken =>
    {
        var run = await MeasureAsync(settings, pair, cancellationToken);
        return [run.MegabytesPerSecond, run.ProcessorPerGigabyte];
    });

    private static BulkPair Datagrams(string name, string kind) =>
        new(name, Worker.Role($"{kind}-read"), port => Worker.Role($"{kind}-write", $"port={port}"), IsReliable: false);

    private static async Task<(Mark Reader, Mark Writer)> MarkAsync(Worker reader, Worker writer, CancellationToken cancellationToken)
    {
        var marks = await Task.WhenAll(reader.MarkAsync(cancellationToken), writer.MarkAsync(cancellationToken));
        return (marks[0], marks[1]);
    }
}
