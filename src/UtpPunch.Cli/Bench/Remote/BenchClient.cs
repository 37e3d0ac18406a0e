using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>`utp bench HOST PORT`: bulk data to the other machine and from it, and ping-pong, with the statistics of the streams.</summary>
internal static class BenchClient
{
    private const string Part = "remote";

    private static readonly Measure[] s_bulk =
    [
        new("MB/s", MoreIsBetter: true),
        new("round trip ms", MoreIsBetter: false),
        new("packet B", MoreIsBetter: true),
        new("retransmitted", MoreIsBetter: false),
        new("time-outs", MoreIsBetter: false),
    ];

    private static readonly Measure[] s_echo = [new("median µs", MoreIsBetter: false), new("p99 µs", MoreIsBetter: false)];

    public static async Task<int> RunAsync(EndPoint server, IPEndPoint? bind, BenchSettings settings, bool isJson)
    {
        await using var node = await Nodes.BindAsync(new UtpNodeOptions(), bind);
        BenchGroup[] groups =
        [
            new BenchGroup(
                Part,
                $"bulk, one connection to {server} and back, bytes at the reader",
                s_bulk,
                [
                    new BenchCase("to the other machine", token => SendAsync(node, server, settings, token)),
                    new BenchCase("from it", token => ReceiveAsync(node, server, settings, token)),
                ])
            {
                Compares = false,
                Notes = ["Retransmissions of the other machine are counted here as duplicates."],
            },
            new BenchGroup(
                Part,
                "ping-pong of one byte",
                s_echo,
                [new BenchCase("async", token => PingAsync(node, server, settings, token))])
            {
                Compares = false,
            },
        ];
        return await LocalBench.RunAsync(settings, groups, isJson);
    }

    private static async Task<double[]> SendAsync(UtpNode node, EndPoint server, BenchSettings settings, CancellationToken cancellationToken)
    {
        await using var stream = await OpenAsync(node, server, new RemoteTask('u', settings.Time), cancellationToken);
        var written = await RemoteFlow.WriteAsync(stream, settings.Time, cancellationToken);
        var answer = new byte[16];
        await stream.ReadExactlyAsync(answer, cancellationToken);
        var seen = stream.GetStatistics();
        var read = BinaryPrimitives.ReadInt64BigEndian(answer);
        var time = TimeSpan.FromTicks(BinaryPrimitives.ReadInt64BigEndian(answer.AsSpan(8)));
        return read == written
            ? Figures(read, time, seen, seen.Retransmissions)
            : throw new BenchException($"{written} bytes were written, {read} arrived");
    }

    private static async Task<double[]> ReceiveAsync(UtpNode node, EndPoint server, BenchSettings settings, CancellationToken cancellationToken)
    {
        await using var stream = await OpenAsync(node, server, new RemoteTask('d', settings.Time), cancellationToken);
        var (bytes, time) = await RemoteFlow.ReadAsync(stream, cancellationToken);
        var seen = stream.GetStatistics();
        return Figures(bytes, time, seen, seen.Duplicates);
    }

    private static async Task<double[]> PingAsync(UtpNode node, EndPoint server, BenchSettings settings, CancellationToken cancellationToken)
    {
        await using var stream = await OpenAsync(node, server, new RemoteTask('p', settings.Time), cancellationToken);
        var times = new List<long>();
        var buffer = new byte[1];
        var begun = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(begun) < settings.WarmUp + settings.Time)
        {
            var started = Stopwatch.GetTimestamp();
            await stream.WriteAsync(buffer, cancellationToken);
            await stream.ReadExactlyAsync(buffer, cancellationToken);
            if (Stopwatch.GetElapsedTime(begun, started) >= settings.WarmUp)
            {
                times.Add(Stopwatch.GetTimestamp() - started);
            }
        }

        return times.Count > 0
            ? EchoRoles.MedianAndTail([.. times])
            : throw new BenchException("no round trip was completed in time: --seconds sets a longer time");
    }

    private static async Task<UtpStream> OpenAsync(UtpNode node, EndPoint server, RemoteTask task, CancellationToken cancellationToken)
    {
        var stream = await node.ConnectAsync(server, null, cancellationToken);
        await task.SendAsync(stream, cancellationToken);
        return stream;
    }

    private static double[] Figures(long bytes, TimeSpan time, UtpStreamStatistics seen, long retransmitted) =>
    [
        bytes / time.TotalSeconds / 1e6,
        seen.RoundTripTime.TotalMilliseconds,
        seen.MaxPayload,
        retransmitted,
        seen.Timeouts,
    ];
}
