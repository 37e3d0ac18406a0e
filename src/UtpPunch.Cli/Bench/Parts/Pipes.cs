namespace UtpPunch.Cli.Bench;

/// <summary>What the pipes of a stream save: bytes are made in the send buffer, and looked at where the socket has put them.</summary>
internal static class Pipes
{
    public const string Name = "pipes";

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        BenchCase[] cases =
        [
            Case("UtpPunch, Stream", Bulk.Discovered, PipeRoles.ByStream),
            Case("UtpPunch, Input and Output", Bulk.Discovered, PipeRoles.OwnPipes),
            Case("UtpPunch, pipes over the Stream", Bulk.Discovered, PipeRoles.OverStream),
            Case("UtpPunch, 1400-byte packets, Stream", Bulk.Fixed, PipeRoles.ByStream),
            Case("UtpPunch, 1400-byte packets, Input and Output", Bulk.Fixed, PipeRoles.OwnPipes),
            Case(".NET TCP, Stream", Bulk.Tcp, PipeRoles.ByStream),
            Case(".NET TCP, pipes over the Stream", Bulk.Tcp, PipeRoles.OverStream),
        ];
        yield return new BenchGroup(Name, "pipes: one connection, loopback, two processes; every byte is made and looked at", Bulk.Measures, cases);

        BenchCase Case(string name, string[] protocol, string by) => new(name, async token =>
        {
            var pair = new BulkPair(
                name,
                Worker.Role("pipe-read", [.. protocol, by]),
                port => Worker.Role("pipe-write", [.. protocol, by, $"port={port}"]));
            var run = await Bulk.MeasureAsync(settings, pair, token);
            return [run.MegabytesPerSecond, run.ProcessorPerGigabyte];
        });
    }
}
