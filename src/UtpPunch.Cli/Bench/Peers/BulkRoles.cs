using System.Diagnostics;
using System.Text.Json;

namespace UtpPunch.Cli.Bench;

/// <summary>One process reads and another one writes on several streams until the writer is told to stop. Both report the bytes of each
/// stream, so that a lost byte shows.</summary>
internal static class BulkRoles
{
    // A slow reader reads this much, then waits: about 64 KiB a second.
    private const int SlowSize = 1024;
    private static readonly TimeSpan SlowRest = TimeSpan.FromMilliseconds(15);

    /// <summary>`protocol= connections= [slow=1]`: the last stream is read slowly, until `stop`.</summary>
    public static async Task ReadAsync(PeerLink link, RoleArguments words)
    {
        await using var protocol = StreamProtocol.Of(words);
        var connections = words.Number("connections", 1);
        var isSlow = words.Number("slow") > 0;
        var counts = new long[connections];
        link.Count(() => Copy(counts));
        link.Start();
        link.TellPort(protocol.Listen());
        var readers = new List<Task>();
        for (var index = 0; index < connections; index++)
        {
            var stream = await protocol.AcceptAsync(CancellationToken.None);
            readers.Add(ReadAsync(stream, counts, index, isSlow && index == connections - 1 ? link.Stopped : null));
        }

        await Task.WhenAll(readers);
        TellDone(link, counts);
    }

    /// <summary>`protocol= port= connections=`: writes as fast as it can.</summary>
    public static async Task WriteAsync(PeerLink link, RoleArguments words)
    {
        await using var protocol = StreamProtocol.Of(words);
        var target = StreamProtocol.TargetOf(words);
        var streams = new Stream[words.Number("connections", 1)];
        var counts = new long[streams.Length];
        link.Count(() => Copy(counts));
        link.Start();
        for (var index = 0; index < streams.Length; index++)
        {
            streams[index] = await protocol.DialAsync(target);

            // A byte is written first: streams are accepted in the order in which their first data arrives.
            await streams[index].WriteAsync(Pattern.Block[..1]);
            counts[index] = 1;
        }

        link.Tell("started");
        await Task.WhenAll(streams.Select((stream, index) => Task.Run(
            () => WriteAsync(protocol, stream, counts, index, link.Stopped))));
        var seen = streams.OfType<UtpStream>().Select(stream => stream.GetStatistics()).ToArray();
        TellDone(link, counts, new Retransmits(seen.Sum(one => one.PacketsSent), seen.Sum(one => one.Retransmissions), seen.Sum(one => one.Timeouts)));
    }

    /// <summary>Reports the bytes of each stream, in any order.</summary>
    public static void TellDone(PeerLink link, long[] counts, Retransmits repairs = default) => link.Tell("done", json =>
    {
        Write(json, [.. counts.Order()]);
        json.WriteNumber("packets", repairs.Packets);
        json.WriteNumber("again", repairs.Again);
        json.WriteNumber("timeouts", repairs.Timeouts);
    });

    private static async Task ReadAsync(Stream stream, long[] counts, int index, CancellationToken? slowUntil)
    {
        await using var owned = stream;
        var buffer = new byte[Pattern.BlockSize];
        var offset = 0L;
        while (true)
        {
            var isSlow = slowUntil is { IsCancellationRequested: false };
            var read = await stream.ReadAsync(isSlow ? buffer.AsMemory(0, SlowSize) : buffer);
            if (read == 0)
            {
                return;
            }

            Pattern.Check(offset, buffer.AsSpan(0, read));
            offset += read;
            Volatile.Write(ref counts[index], offset);
            if (isSlow)
            {
                await Task.Delay(SlowRest, slowUntil!.Value).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private static async Task WriteAsync(StreamProtocol protocol, Stream stream, long[] counts, int index, CancellationToken stopped)
    {
        await using var owned = stream;
        while (!stopped.IsCancellationRequested)
        {
            // The first byte has been written, so the first block is shorter.
            var start = (int)(counts[index] % Pattern.BlockSize);
            var size = Pattern.BlockSize - start;
            await stream.WriteAsync(Pattern.Block.Slice(start, size), CancellationToken.None);
            Volatile.Write(ref counts[index], counts[index] + size);
        }

        protocol.Finish(stream);
        if (await stream.ReadAsync(new byte[1], CancellationToken.None) != 0)
        {
            throw new InvalidDataException("a reader has answered");
        }
    }

    private static long[] Copy(long[] counts)
    {
        var copy = new long[counts.Length];
        for (var index = 0; index < copy.Length; index++)
        {
            copy[index] = Volatile.Read(ref counts[index]);
        }

        return copy;
    }

    private static void Write(Utf8JsonWriter json, long[] counts)
    {
        json.WriteStartArray("counts");
        foreach (var count in counts)
        {
            json.WriteNumberValue(count);
        }

        json.WriteEndArray();
    }
}

/// <summary>Packets that the streams of a writer sent, those that were retransmissions, and retransmission time-outs; zero if unknown.</summary>
internal readonly record struct Retransmits(long Packets, long Again, long Timeouts)
{
    /// <value>Per cent of the packets.</value>
    public double Share => Packets == 0 ? double.NaN : 100.0 * Again / Packets;
}
