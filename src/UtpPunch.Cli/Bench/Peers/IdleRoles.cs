namespace UtpPunch.Cli.Bench;

/// <summary>Many streams that are open and say nothing: what does each cost? `measure` tells what the process holds, after a full collection
/// of garbage, and what it held before there were any.</summary>
internal static class IdleRoles
{
    private const int AtOnce = 64;

    /// <summary>`medium= connections=`.</summary>
    public static async Task HoldAsync(PeerLink link, RoleArguments words)
    {
        await using var medium = Medium.Of(words);
        var port = medium.Listen();
        var streams = new Stream[words.Number("connections")];
        var before = Memory.Now();
        link.On("measure", () => Tell(link, before));
        link.Obey();
        link.TellPort(port);
        for (var index = 0; index < streams.Length; index++)
        {
            streams[index] = await medium.AcceptAsync(CancellationToken.None);
            await streams[index].ReadExactlyAsync(new byte[1]);
        }

        link.Tell("open");
        await Task.Delay(Timeout.Infinite, link.Stopped).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        GC.KeepAlive(streams);
    }

    /// <summary>`medium= port= connections=`.</summary>
    public static async Task OpenAsync(PeerLink link, RoleArguments words)
    {
        var medium = Medium.Of(words);
        var target = Medium.TargetOf(words);
        var streams = new Stream[words.Number("connections")];
        var before = Memory.Now();
        link.On("measure", () => Tell(link, before));
        link.Obey();
        await Parallel.ForAsync(0, streams.Length, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (index, _) =>
        {
            streams[index] = await medium.DialAsync(target);
            await streams[index].WriteAsync(new byte[1], CancellationToken.None);
        });
        link.Tell("open");
        await Task.Delay(Timeout.Infinite, link.Stopped).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        GC.KeepAlive(streams);
    }

    private static void Tell(PeerLink link, Memory before)
    {
        var now = Memory.Now();
        link.Tell("memory", json =>
        {
            json.WriteNumber("managed", now.Managed - before.Managed);
            json.WriteNumber("workingSet", now.WorkingSet - before.WorkingSet);
        });
    }

    private readonly record struct Memory(long Managed, long WorkingSet)
    {
        public static Memory Now()
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            return new Memory(GC.GetTotalMemory(forceFullCollection: true), Environment.WorkingSet);
        }
    }
}
