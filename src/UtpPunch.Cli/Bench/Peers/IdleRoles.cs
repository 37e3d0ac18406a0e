namespace UtpPunch.Cli.Bench;

/// <summary>Many idle streams. `measure` reports the memory of the process after a full garbage collection, less what it was without
/// streams.</summary>
internal static class IdleRoles
{
    private const int AtOnce = 64;

    /// <summary>`protocol= connections=`.</summary>
    public static async Task HoldAsync(PeerLink link, RoleArguments words)
    {
        await using var protocol = StreamProtocol.Of(words);
        var port = protocol.Listen();
        var streams = new Stream[words.Number("connections")];
        var before = Memory.Now();
        link.On("measure", () => Tell(link, before));
        link.Start();
        link.TellPort(port);
        for (var index = 0; index < streams.Length; index++)
        {
            streams[index] = await protocol.AcceptAsync(CancellationToken.None);
            await streams[index].ReadExactlyAsync(new byte[1]);
        }

        link.Tell("open");
        await Task.Delay(Timeout.Infinite, link.Stopped).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        GC.KeepAlive(streams);
    }

    /// <summary>`protocol= port= connections=`.</summary>
    public static async Task OpenAsync(PeerLink link, RoleArguments words)
    {
        var protocol = StreamProtocol.Of(words);
        var target = StreamProtocol.TargetOf(words);
        var streams = new Stream[words.Number("connections")];
        var before = Memory.Now();
        link.On("measure", () => Tell(link, before));
        link.Start();
        await Parallel.ForAsync(0, streams.Length, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (index, _) =>
        {
            streams[index] = await protocol.DialAsync(target);
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
