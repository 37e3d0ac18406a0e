using System.Diagnostics;
using System.Globalization;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>Real processes in namespaces of the kernel: streams go on when a NAT forgets them, and when a host is elsewhere.</summary>
public static class PathMoves
{
    // The 400 MB of docs/paths.md: `UTP_MOVED_MB=400`.
    private static readonly int s_count =
        1_000_000 * int.Parse(Environment.GetEnvironmentVariable("UTP_MOVED_MB") ?? "60", CultureInfo.InvariantCulture);

    // A move takes a few seconds at most; without another path it would be 45 s until the stream gives up.
    private static readonly TimeSpan s_most = TimeSpan.FromSeconds(20);

    // By then, the other side searches for another path.
    private static readonly TimeSpan s_sleep = TimeSpan.FromSeconds(10);

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

    [Fact("both hosts are elsewhere at once, and meet again: 60 MB arrive whole", Timeout = 120)]
    [CarriesStreams]
    public static Task BothMove() => TransferAsync(fromOpen: true, networks => Task.WhenAll(networks.MoveAsync(), networks.RenumberOpenAsync()));

    [Fact("a stream without a meeting, whose opener's NAT takes other ports, and who is then in another network: 30 MB from it arrive whole", Timeout = 120, Parallel = true)]
    [CarriesStreams]
    public static Task OpenerSends() => DialledAsync(true, networks => networks.RebindAsync(), networks => networks.MoveAsync());

    [Fact("a stream without a meeting, whose opener's NAT takes other ports, and who is then in another network: 30 MB to it arrive whole", Timeout = 120, Parallel = true)]
    [CarriesStreams]
    public static Task OpenerReads() => DialledAsync(false, networks => networks.RebindAsync(), networks => networks.MoveAsync());

    [Fact("a host gets a second way out, which is preferred, and loses it: 30 MB to it arrive whole", Timeout = 120, Parallel = true)]
    [CarriesStreams]
    public static Task SecondWayOut() => DialledAsync(false, networks => networks.ConnectSecondAsync(), networks => networks.DisconnectSecondAsync());

    [Fact("a host that sleeps while its NAT forgets it: 60 MB from it arrive whole", Timeout = 120, Parallel = true)]
    [CarriesStreams]
    public static async Task Sleeps()
    {
        using var networks = await HomeNetworks.CreateAsync();
        using var server = ToolProcess.StartWithin(networks.OnSteadyHost, $"rendezvous --bind {HomeNetworks.Steady}:42000 --json");
        Check.That(await server.ListensAsync(), "the server listens");
        using var reader = Cat(networks.OnOpenHost);
        using var sender = Cat(networks.OnMovingHost);
        reader.EndInput();
        var saying = sender.SayAsync(PeerNoise.Bytes(OurSeed, s_count));
        await reader.DigestAsync(s_count / 3);
        sender.Sleep();
        await networks.RebindAsync();
        await Task.Delay(s_sleep);
        sender.Wake();
        Check.Equal(Of(OurSeed, s_count), await reader.DigestAsync(TimeSpan.FromSeconds(60)));
        await saying;
    }

    [Fact("utp-native, whose NAT takes another port, gets a RESET at once, since it knows no other paths", Timeout = 120, Parallel = true)]
    [CarriesStreams]
    public static async Task StrangerIsRebound()
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var networks = await HomeNetworks.CreateAsync();
        using var reader = ToolProcess.StartWithin(networks.OnOpenHost, $"cat --listen --bind {HomeNetworks.Open}:0");
        var address = await reader.WhereAsync();
        using var sender = await NpmPeer.DialWithinAsync(networks.OnMovingHost, NpmPeer.Native, address, "exchange", 2_000_000_000, TheirSeed);
        await reader.DigestAsync(1_000_000);
        await networks.RebindAsync();
        await sender.WaitAsync("close", TimeSpan.FromSeconds(10));
    }

    private static async Task DialledAsync(bool fromOpener, params Func<HomeNetworks, Task>[] moves)
    {
        const int Parts = 60;
        const int Size = 500_000;
        using var networks = await HomeNetworks.CreateAsync();
        using var open = ToolProcess.StartWithin(networks.OnOpenHost, $"cat --listen --bind {HomeNetworks.Open}:0");
        var address = await open.WhereAsync();
        using var opener = ToolProcess.StartWithin(networks.OnMovingHost, $"cat {address.Address} {address.Port}");
        var (sender, reader) = fromOpener ? (opener, open) : (open, opener);
        reader.EndInput();
        var bytes = PeerNoise.Bytes(OurSeed, Parts * Size);

        // 5 MB a second, as from a camera: the nodes agree on a key after the first one.
        var saying = Task.Run(async () =>
        {
            using var clock = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
            for (var part = 0; part < Parts; part++)
            {
                await clock.WaitForNextTickAsync();
                await sender.SayAsync(bytes.AsMemory(part * Size, Size), end: part == Parts - 1);
            }
        });
        for (var index = 0; index < moves.Length; index++)
        {
            await reader.DigestAsync((index + 1) * 20 * Size);
            await moves[index](networks);
        }

        Check.Equal(Of(OurSeed, Parts * Size), await reader.DigestAsync(TimeSpan.FromSeconds(60)));
        await saying;
    }

    private static async Task TransferAsync(bool fromOpen, params Func<HomeNetworks, Task>[] moves)
    {
        using var networks = await HomeNetworks.CreateAsync();
        using var server = ToolProcess.StartWithin(networks.OnSteadyHost, $"rendezvous --bind {HomeNetworks.Steady}:42000 --json");
        Check.That(await server.ListensAsync(), "the server listens");
        using var open = Cat(networks.OnOpenHost);
        using var moving = Cat(networks.OnMovingHost);
        var (sender, reader) = fromOpen ? (open, moving) : (moving, open);
        reader.EndInput();
        var saying = sender.SayAsync(PeerNoise.Bytes(OurSeed, s_count));
        for (var index = 0; index < moves.Length; index++)
        {
            await reader.DigestAsync((int)((index + 1L) * s_count / (moves.Length + 2)));
            await moves[index](networks);
        }

        var clock = Stopwatch.StartNew();
        Check.Equal(Of(OurSeed, s_count), await reader.DigestAsync(TimeSpan.FromSeconds(60)));
        Check.That(clock.Elapsed < s_most, $"the rest arrives {clock.Elapsed.TotalSeconds:F1} s after the last move");
        await saying;
    }

    private static ToolProcess Cat(string[] within) => ToolProcess.StartWithin(
        within, $"cat --rendezvous {HomeNetworks.Steady}:42000 --room r --secret correct-horse-battery");
}
