using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>Round trips of one byte, one after the other.</summary>
internal static class EchoRoles
{
    /// <summary>`protocol= mode=async|sync`.</summary>
    public static async Task EchoAsync(PeerLink link, RoleArguments words)
    {
        await using var protocol = StreamProtocol.Of(words);
        link.Start();
        link.TellPort(protocol.Listen());
        await using var stream = await protocol.AcceptAsync(CancellationToken.None);
        var buffer = new byte[1];
        if (words["mode"] == "sync")
        {
            while (stream.Read(buffer) > 0)
            {
                stream.Write(buffer);
            }
        }
        else
        {
            while (await stream.ReadAsync(buffer) > 0)
            {
                await stream.WriteAsync(buffer);
            }
        }
    }

    /// <summary>`protocol= mode=async|sync port= count=`.</summary>
    public static async Task PingAsync(PeerLink link, RoleArguments words)
    {
        await using var protocol = StreamProtocol.Of(words);
        link.Start();
        await using var stream = await protocol.DialAsync(StreamProtocol.TargetOf(words));
        var count = words.Number("count");
        var buffer = new byte[1];
        var times = words["mode"] == "sync"
            ? Time(count, () =>
            {
                stream.Write(buffer);
                return stream.Read(buffer);
            })
            : await TimeAsync(stream, count);
        Tell(link, times);
        protocol.Finish(stream);
        if (await stream.ReadAsync(buffer) != 0)
        {
            throw new InvalidDataException("more bytes came back than were sent");
        }
    }

    /// <summary>The times of <paramref name="count"/> round trips, after twice as many that warm up the just-in-time compiler.</summary>
    public static long[] Time(int count, Func<int> exchange)
    {
        var times = new long[count];
        for (var index = -2 * count; index < count; index++)
        {
            var started = Stopwatch.GetTimestamp();
            var received = exchange();
            Note(times, index, started, received);
        }

        return times;
    }

    /// <summary>Reports the result.</summary>
    public static void Tell(PeerLink link, long[] times)
    {
        var figures = MedianAndTail(times);
        link.Tell("pinged", json =>
        {
            json.WriteNumber("median", figures[0]);
            json.WriteNumber("p99", figures[1]);
        });
    }

    /// <summary>The median and the 99th percentile, in microseconds.</summary>
    public static double[] MedianAndTail(long[] times)
    {
        Array.Sort(times);
        return [Microseconds(times[times.Length / 2]), Microseconds(times[(int)(times.Length * 0.99)])];

        static double Microseconds(long ticks) => ticks * 1e6 / Stopwatch.Frequency;
    }

    private static async Task<long[]> TimeAsync(Stream stream, int count)
    {
        var times = new long[count];
        var buffer = new byte[1];
        for (var index = -2 * count; index < count; index++)
        {
            var started = Stopwatch.GetTimestamp();
            await stream.WriteAsync(buffer);
            Note(times, index, started, await stream.ReadAsync(buffer));
        }

        return times;
    }

    private static void Note(long[] times, int index, long started, int received)
    {
        if (received != 1)
        {
            throw new EndOfStreamException("the other end is gone");
        }

        if (index >= 0)
        {
            times[index] = Stopwatch.GetTimestamp() - started;
        }
    }
}
