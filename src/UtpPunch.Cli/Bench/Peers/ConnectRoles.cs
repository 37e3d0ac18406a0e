using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>Streams that are opened, carry one byte each way, and are closed.</summary>
internal static class ConnectRoles
{
    /// <summary>`protocol=`.</summary>
    public static async Task GreetAsync(PeerLink link, RoleArguments words)
    {
        await using var protocol = StreamProtocol.Of(words);
        link.Start();
        link.TellPort(protocol.Listen());
        try
        {
            while (true)
            {
                _ = GreetAsync(await protocol.AcceptAsync(link.Stopped));
            }
        }
        catch (OperationCanceledException)
        {
            // `stop` was received.
        }
    }

    /// <summary>`protocol= port= atOnce= most= milliseconds=`: ends after the time, or after `most`
    /// connects, since a TCP port stays in TIME-WAIT after it was closed.</summary>
    public static async Task CallAsync(PeerLink link, RoleArguments words)
    {
        var protocol = StreamProtocol.Of(words);
        link.Start();
        var most = words.Number("most");
        var time = TimeSpan.FromMilliseconds(words.Number("milliseconds"));
        await CallAllAsync(protocol, words, most / 4, time / 4);
        var started = Stopwatch.GetTimestamp();
        var connects = await CallAllAsync(protocol, words, most, time);
        var elapsed = Stopwatch.GetElapsedTime(started);
        link.Tell("called", json => json.WriteNumber("perSecond", connects / elapsed.TotalSeconds));
    }

    private static async Task<int> CallAllAsync(StreamProtocol protocol, RoleArguments words, int most, TimeSpan time)
    {
        var target = StreamProtocol.TargetOf(words);
        var started = Stopwatch.GetTimestamp();
        var begun = 0;
        var ended = 0;
        await Task.WhenAll(Enumerable.Range(0, words.Number("atOnce", 1)).Select(_ => Task.Run(async () =>
        {
            var buffer = new byte[1];
            while (Stopwatch.GetElapsedTime(started) < time && Interlocked.Increment(ref begun) <= most)
            {
                // Closed without waiting for the peer, as sockets are.
                using var stream = await protocol.DialAsync(target);
                await stream.WriteAsync(buffer);
                if (await stream.ReadAsync(buffer) != 1)
                {
                    throw new EndOfStreamException("a stream ended before the answer");
                }

                Interlocked.Increment(ref ended);
            }
        })));
        return ended;
    }

    private static async Task GreetAsync(Stream stream)
    {
        using var owned = stream;
        var buffer = new byte[1];
        while (await stream.ReadAsync(buffer) > 0)
        {
            await stream.WriteAsync(buffer);
        }
    }
}
