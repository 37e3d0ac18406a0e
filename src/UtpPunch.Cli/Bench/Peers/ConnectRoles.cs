using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>Streams that are opened, carry one byte there and one back, and are closed.</summary>
internal static class ConnectRoles
{
    /// <summary>`medium=`.</summary>
    public static async Task GreetAsync(PeerLink link, RoleArguments words)
    {
        await using var medium = Medium.Of(words);
        link.Obey();
        link.TellPort(medium.Listen());
        try
        {
            while (true)
            {
                _ = GreetAsync(await medium.AcceptAsync(link.Stopped));
            }
        }
        catch (OperationCanceledException)
        {
            // Told to stop.
        }
    }

    /// <summary>`medium= port= atOnce= most= milliseconds=`: goes on until the time is over, or there were that many, since a port that was
    /// closed is not free again at once.</summary>
    public static async Task CallAsync(PeerLink link, RoleArguments words)
    {
        var medium = Medium.Of(words);
        link.Obey();
        var most = words.Number("most");
        var time = TimeSpan.FromMilliseconds(words.Number("milliseconds"));
        await CallAllAsync(medium, words, most / 4, time / 4);
        var started = Stopwatch.GetTimestamp();
        var connects = await CallAllAsync(medium, words, most, time);
        var elapsed = Stopwatch.GetElapsedTime(started);
        link.Tell("called", json => json.WriteNumber("perSecond", connects / elapsed.TotalSeconds));
    }

    private static async Task<int> CallAllAsync(Medium medium, RoleArguments words, int most, TimeSpan time)
    {
        var target = Medium.TargetOf(words);
        var started = Stopwatch.GetTimestamp();
        var begun = 0;
        var ended = 0;
        await Task.WhenAll(Enumerable.Range(0, words.Number("atOnce", 1)).Select(_ => Task.Run(async () =>
        {
            var buffer = new byte[1];
            while (Stopwatch.GetElapsedTime(started) < time && Interlocked.Increment(ref begun) <= most)
            {
                // Closed without waiting for the other end, as sockets are.
                using var stream = await medium.DialAsync(target);
                await stream.WriteAsync(buffer);
                if (await stream.ReadAsync(buffer) != 1)
                {
                    throw new EndOfStreamException("a stream ended before it was answered");
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
