using System.Net;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>Real processes on a host that has IPv6 only, behind a NAT64 and a DNS64: they reach hosts that have IPv4 only.</summary>
public static class Nat64Streams
{
    private const int Count = 3_000_000;

    private static readonly TimeSpan s_most = TimeSpan.FromSeconds(40);

    public static IEnumerable<object> Ways => ["address", "name", "address behind the prefix"];

    [Fact("a host with IPv6 only opens a stream to a host with IPv4 only by its {0}: 3 MB in each direction arrive whole", Timeout = 90, Parallel = true)]
    [ForEach(typeof(Nat64Streams), nameof(Ways))]
    [CarriesStreams]
    public static async Task Dialled(string way)
    {
        using var networks = await Nat64Networks.CreateAsync();
        using var listener = ToolProcess.StartWithin(networks.OnOpenHost, $"cat --listen --bind {Nat64Networks.Open}:0");
        var port = (await listener.WhereAsync()).Port;
        var target = way switch
        {
            "address" => Nat64Networks.Open,
            "name" => Nat64Networks.OpenName,
            _ => Embedded,
        };
        using var dialler = ToolProcess.StartWithin(networks.OnIPv6Host, $"cat {target} {port}");
        await ExchangeAsync(dialler, listener);
    }

    [Fact("a host with IPv6 only meets one with IPv4 only, behind a NAT, at a rendezvous with IPv4 only by its {0}: 3 MB in each direction arrive whole", Timeout = 90, Parallel = true)]
    [ForEach(typeof(Nat64Streams), nameof(Ways))]
    [CarriesStreams]
    public static async Task Met(string way)
    {
        using var networks = await Nat64Networks.CreateAsync();
        await MeetAsync(networks, way switch
        {
            "address" => Nat64Networks.Open,
            "name" => Nat64Networks.OpenName,
            _ => $"[{Embedded}]",
        });
    }

    private static async Task MeetAsync(Nat64Networks networks, string target)
    {
        using var server = ToolProcess.StartWithin(networks.OnOpenHost, $"rendezvous --bind {Nat64Networks.Open}:42000 --json");
        Check.That(await server.ListensAsync(), "the server listens");
        const string Room = "--room r --secret correct-horse-battery";
        using var behindNat64 = ToolProcess.StartWithin(networks.OnIPv6Host, $"cat --rendezvous {target}:42000 {Room}");
        using var behindNat = ToolProcess.StartWithin(networks.OnIPv4Host, $"cat --rendezvous {Nat64Networks.Open}:42000 {Room}");
        await ExchangeAsync(behindNat64, behindNat);
    }

    [Fact("a host with a CLAT in a network with IPv6 only (464XLAT), whose packets are translated twice, {0}: 3 MB in each direction arrive whole", Timeout = 90, Parallel = true)]
    [ForEach(typeof(Nat64Streams), nameof(Purposes))]
    [CarriesStreams]
    public static async Task Clat(string purpose)
    {
        using var networks = await Nat64Networks.CreateAsync();
        await networks.AddClatAsync();
        if (purpose == "dials")
        {
            using var listener = ToolProcess.StartWithin(networks.OnOpenHost, $"cat --listen --bind {Nat64Networks.Open}:0");
            var port = (await listener.WhereAsync()).Port;
            using var dialler = ToolProcess.StartWithin(networks.OnIPv6Host, $"cat {Nat64Networks.Open} {port}");
            await ExchangeAsync(dialler, listener);
        }
        else
        {
            await MeetAsync(networks, Nat64Networks.Open);
        }
    }

    public static IEnumerable<object> Purposes => ["dials", "meets"];

    [Fact("a host with IPv6 only that gets into a network with IPv4 only: a stream that it has opened through the NAT64 goes on, and 20 MB arrive whole", Timeout = 120, Parallel = true)]
    [CarriesStreams]
    public static async Task Moved()
    {
        const int Parts = 40;
        const int Size = 500_000;
        using var networks = await Nat64Networks.CreateAsync();
        using var listener = ToolProcess.StartWithin(networks.OnOpenHost, $"cat --listen --bind {Nat64Networks.Open}:0");
        var port = (await listener.WhereAsync()).Port;
        using var dialler = ToolProcess.StartWithin(networks.OnIPv6Host, $"cat {Nat64Networks.Open} {port}");
        listener.EndInput();
        var bytes = PeerNoise.Bytes(OurSeed, Parts * Size);

        // The nodes agree on a key after the first second.
        var saying = Task.Run(async () =>
        {
            using var clock = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
            for (var part = 0; part < Parts; part++)
            {
                await clock.WaitForNextTickAsync();
                await dialler.SayAsync(bytes.AsMemory(part * Size, Size), end: part == Parts - 1);
            }
        });
        await listener.DigestAsync(Parts * Size / 2);
        await networks.MoveAsync();
        Check.Equal(Of(OurSeed, Parts * Size), await listener.DigestAsync(TimeSpan.FromSeconds(60)));
        await saying;
    }

    [Fact("STUN from a host with IPv6 only: the server sees the address of the NAT64", Timeout = 60, Parallel = true)]
    public static async Task Seen()
    {
        using var networks = await Nat64Networks.CreateAsync();
        using var server = ToolProcess.StartWithin(networks.OnOpenHost, $"rendezvous --bind {Nat64Networks.Open}:42000 --stun --json");
        Check.That(await server.ListensAsync(), "the server listens");
        using var client = ToolProcess.StartWithin(networks.OnIPv6Host, $"stun {Nat64Networks.Open}:42000 --json");
        await client.SucceedAsync(s_most);
        Check.That((await client.TextAsync()).Contains("\"198.51.100.11:", StringComparison.Ordinal), client.ToString());
    }

    private static string Embedded => IPAddress.Parse($"{Nat64Networks.Prefix}{Nat64Networks.Open}").ToString();

    private static async Task ExchangeAsync(ToolProcess one, ToolProcess other)
    {
        await Task.WhenAll(one.SayAsync(PeerNoise.Bytes(OurSeed, Count)), other.SayAsync(PeerNoise.Bytes(TheirSeed, Count)));
        Check.Equal(Of(TheirSeed, Count), await one.DigestAsync(s_most));
        Check.Equal(Of(OurSeed, Count), await other.DigestAsync(s_most));
    }
}
