using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>A reader and a writer of bulk data: what starts the one, and, given its port, the other.</summary>
/// <param name="IsReliable">Whether all that is sent has to arrive.</param>
internal sealed record BulkPair(string Name, ProcessStartInfo Reader, Func<int, ProcessStartInfo> Writer, bool IsReliable = true)
{
    /// <summary>Streams of ours or of TCP.</summary>
    public static BulkPair Streams(string name, int connections, params string[] medium) => new(
        name,
        Player.Role("read", [.. medium, $"connections={connections}"]),
        port => Player.Role("write", [.. medium, $"connections={connections}", $"port={port}"]));
}

/// <summary>What one turn of bulk data gave, in the window in which it was measured.</summary>
/// <param name="Counts">Bytes at the reader, by stream.</param>
/// <param name="Processor">Seconds of user and system time of both processes together.</param>
/// <param name="Repairs">From the beginning to the end, not in the window alone.</param>
internal sealed record BulkTurn(long[] Counts, double Seconds, double Processor, Repairs Repairs)
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

    public static readonly string[] Fixed = ["medium=utp", "packet=1400"];
    public static readonly string[] Discovered = ["medium=utp"];
    public static readonly string[] Tcp = ["medium=tcp"];

    /// <param name="foreign">Others that send over one connection.</param>
    public static IEnumerable<Contest> Contests(BenchSettings settings, params BulkPair[] foreign)
    {
        foreach (var connections in new[] { 1, 4, settings.Many })
        {
            List<BulkPair> pairs =
            [
                BulkPair.Streams("UtpPunch, 1400-byte packets", connections, Fixed),
                BulkPair.Streams("UtpPunch, packets by default", connections, Discovered),
                BulkPair.Streams(".NET TCP", connections, Tcp),
            ];
            string[] notes = [];
            if (connections == 1)
            {
                pairs.Insert(1, BulkPair.Streams("UtpPunch, 1400-byte packets, recorded", 1, [.. Fixed, "recorded=1"]));
                pairs.Add(Datagrams("raw UDP, a call for each 1400 bytes", "udp"));
                if (SegmentedRoles.IsSupported)
                {
                    pairs.Add(Datagrams("raw UDP, UDP_SEGMENT and UDP_GRO", "gso"));
                }

                pairs.AddRange(foreign);
                notes = ["Raw UDP: what arrives counts, nothing is sent again."];
            }

            var title = $"bulk, {connections} connection{(connections == 1 ? "" : "s")}, loopback, two processes, bytes at the reader";
            yield return new Contest(Name, title, Measures, [.. pairs.Select(pair => Contestant(settings, pair))]) { Notes = notes };
        }
    }

    /// <summary>One turn: when it is warm, both ends are asked twice how far they are; in the end, what was read is what was written.</summary>
    public static async Task<BulkTurn> MeasureAsync(
        BenchSettings settings, BulkPair pair, CancellationToken cancellationToken, Func<int, int>? via = null)
    {
        using var reader = new Player(pair.Reader);
        var port = await reader.PortAsync(cancellationToken);
        using var writer = new Player(pair.Writer(via?.Invoke(port) ?? port));
        await writer.WaitAsync("started", cancellationToken);
        await Task.Delay(settings.WarmUp, cancellationToken);
        var before = await MarkAsync(reader, writer, cancellationToken);
        await Task.Delay(settings.Time, cancellationToken);
        var after = await MarkAsync(reader, writer, cancellationToken);
        writer.Stop();
        if (pair.IsReliable)
        {
            reader.Stop();                              // one that reads slowly does so no longer
        }

        var (written, repairs) = await writer.DoneAsync(cancellationToken);
        reader.Stop();
        var (read, _) = await reader.DoneAsync(cancellationToken);
        if (pair.IsReliable ? !read.SequenceEqual(written) : read.Sum() > written.Sum())
        {
            throw new ContestException($"{read.Sum()} bytes were read, {written.Sum()} written");
        }

        var counts = after.Reader.Counts.Zip(before.Reader.Counts, (late, early) => late - early).ToArray();
        var processor = after.Reader.Processor - before.Reader.Processor + after.Writer.Processor - before.Writer.Processor;
        return new BulkTurn(counts, after.Reader.Seconds - before.Reader.Seconds, processor, repairs);
    }

    private static Contestant Contestant(BenchSettings settings, BulkPair pair) => new(pair.Name, async cancellationToken =>
    {
        var turn = await MeasureAsync(settings, pair, cancellationToken);
        return [turn.MegabytesPerSecond, turn.ProcessorPerGigabyte];
    });

    private static BulkPair Datagrams(string name, string kind) =>
        new(name, Player.Role($"{kind}-read"), port => Player.Role($"{kind}-write", $"port={port}"), IsReliable: false);

    private static async Task<(Mark Reader, Mark Writer)> MarkAsync(Player reader, Player writer, CancellationToken cancellationToken)
    {
        var marks = await Task.WhenAll(reader.MarkAsync(cancellationToken), writer.MarkAsync(cancellationToken));
        return (marks[0], marks[1]);
    }
}
