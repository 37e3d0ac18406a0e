using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>`utp bench HOST PORT`: data to the other machine, data from it, and ping-pong, with what the streams have counted.</summary>
internal static class BenchClient
{
    private const string Part = "remote";

    private static readonly Measure[] s_bulk =
    [
        new("MB/s", MoreIsBetter: true),
        new("round trip ms", MoreIsBetter: false),
        new("packet B", MoreIsBetter: true),
        new("sent again", MoreIsBetter: false),
        new("time-outs", MoreIsBetter: false),
    ];

    private static readonly Measure[] s_echo = [new("median µs", MoreIsBetter: false), new("p99 µs", MoreIsBetter: false)];

    public static async Task<int> RunAsync(EndPoint server, IPEndPoint? bind, BenchSettings settings, bool isJson)
    {
        await using var node = await Nodes.BindAsync(new UtpNodeOptions(), bind);
        Contest[] contests =
        [
            new Contest(
                Part,
                $"bulk, one connection to {server} and back, bytes at the reader",
                s_bulk,
                [
                    new Contestant("to the other machine", token => SendAsync(node, server, settings, token)),
                    new Contestant("from it", token => ReceiveAsync(node, server, settings, token)),
                ])
            {
                Compares = false,
                Notes = ["What was sent again is known to the sender: from the other machine it is what came twice here."],
            },
            new Contest(
                Part,
                "ping-pong of one byte",
                s_echo,
                [new Contestant("async", token => PingAsync(node, server, settings, token))])
            {
                Compares = false,
            },
        ];
        return await LocalBench.RunAsync(settings, contests, isJson);
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
            : throw new ContestException($"{written} bytes were written, {read} have arrived");
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
            : throw new ContestException("the other machine is too far away for so short a time: --seconds makes it longer");
    }

    private static async Task<UtpStream> OpenAsync(UtpNode node, EndPoint server, RemoteTask task, CancellationToken cancellationToken)
    {
        var stream = await node.ConnectAsync(server, null, cancellationToken);
        await task.SendAsync(stream, cancellationToken);
        return stream;
    }

    private static double[] Figures(long bytes, TimeSpan time, UtpStreamStatistics seen, long again) =>
    [
        bytes / time.TotalSeconds / 1e6,
        seen.RoundTripTime.TotalMilliseconds,
        seen.MaxPayload,
        again,
        seen.Timeouts,
    ];
}
