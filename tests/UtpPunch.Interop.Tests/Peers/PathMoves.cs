using System.Diagnostics;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>Real processes in namespaces of the kernel: streams of a meeting go on when a NAT forgets them, and when a host is elsewhere.</summary>
public static class PathMoves
{
    private const int Count = 60_000_000;

    // A move takes a few seconds at most; without another path it would be 45 s until the stream gives up.
    private static readonly TimeSpan s_most = TimeSpan.FromSeconds(20);

    [Fact("a NAT that takes other ports twice: 60 MB from behind it arrive whole", Timeout = 120)]
    [CarriesStreams]
    public static Task SenderIsRebound() => TransferAsync(fromOpen: false, networks => networks.RebindAsync(), networks => networks.RebindAsync());

    [Fact("a NAT that takes other ports twice: 60 MB to behind it arrive whole", Timeout = 120)]
    [CarriesStreams]
    public static Task ReaderIsRebound() => TransferAsync(fromOpen: true, networks => networks.RebindAsync(), networks => networks.RebindAsync());

    [Fact("a host gets another address, and is then in another network: 60 MB from it arrive whole", Timeout = 120)]
    [CarriesStreams]
    public static Task SenderMoves() => TransferAsync(fromOpen: false, networks => networks.RenumberAsync(), networks => networks.MoveAsync());

    [Fact("a host gets another address, and is then in another network: 60 MB to it arrive whole", Timeout = 120)]
    [CarriesStreams]
    public static Task ReaderMoves() => TransferAsync(fromOpen: true, networks => networks.RenumberAsync(), networks => networks.MoveAsync());

    private static async Task TransferAsync(bool fromOpen, params Func<HomeNetworks, Task>[] moves)
    {
        using var networks = await HomeNetworks.CreateAsync();
        using var server = ToolProcess.StartWithin(networks.OnOpenHost, $"rendezvous --bind {HomeNetworks.Open}:42000 --json");
        Check.That(await server.ListensAsync(), "the server listens");
        using var open = Cat(networks.OnOpenHost);
        using var moving = Cat(networks.OnMovingHost);
        var (sender, reader) = fromOpen ? (open, moving) : (moving, open);
        reader.EndInput();
        var saying = sender.SayAsync(PeerNoise.Bytes(OurSeed, Count));
        for (var index = 0; index < moves.Length; index++)
        {
            await reader.DigestAsync((index + 1) * Count / (moves.Length + 2));
            await moves[index](networks);
        }

        var clock = Stopwatch.StartNew();
        Check.Equal(Of(OurSeed, Count), await reader.DigestAsync(TimeSpan.FromSeconds(60)));
        Check.That(clock.Elapsed < s_most, $"the rest arrives {clock.Elapsed.TotalSeconds:F1} s after the last move");
        await saying;
    }

    private static ToolProcess Cat(string[] within) => ToolProcess.StartWithin(
        within, $"cat --rendezvous {HomeNetworks.Open}:42000 --room r --secret correct-horse-battery");
}
