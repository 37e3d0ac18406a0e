using System.Net;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>
/// A listener and a rendezvous that are bound to all addresses, on a machine with several of each family: whichever is asked, the answer leaves
/// from it. A peer that asked another one would not know who it is from (RFC 1122, 4.1.3.5).
/// </summary>
public static class OwnAddresses
{
    private const int Count = 300_000;

    private static readonly string[] s_second = ["192.0.2.11/24", "2001:db8::1/64", "2001:db8::11/64"];
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    public static IEnumerable<object> Transports => ["linux", "managed"];

    private static string[] Addresses { get; } =
        [NamespacePair.West, "192.0.2.11", "2001:db8::1", "2001:db8::11", $"{NamespacePair.LinkLocalWest}%{NamespacePair.Cable}"];

    [Fact("{0}: our node gets in by each address of a listener on all of them", Timeout = 120)]
    [ForEach(typeof(OwnAddresses), nameof(Transports))]
    [CarriesStreams]
    public static async Task OurNode(string transport)
    {
        using var namespaces = await CreateAsync();
        foreach (var address in Addresses)
        {
            using var listener = await ListenAsync(namespaces, transport);
            using var dialler = ToolProcess.StartWithin(On(namespaces, NamespacePair.East, transport), $"cat {address} {listener.EndPoint.Port}");
            await Task.WhenAll(listener.SayAsync(PeerNoise.Bytes(OurSeed, Count)), dialler.SayAsync(PeerNoise.Bytes(TheirSeed, Count)));
            Check.Equal(Of(OurSeed, Count), await dialler.DigestAsync());
            Check.Equal(Of(TheirSeed, Count), await listener.DigestAsync());
            await dialler.SucceedAsync();
            await listener.SucceedAsync();
        }
    }

    [Fact("{0}: utp-native gets in by each IPv4 address", Timeout = 120)]
    [ForEach(typeof(OwnAddresses), nameof(Transports))]
    [CarriesStreams]
    public static async Task UtpNative(string transport)
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var namespaces = await CreateAsync();
        foreach (var address in Addresses.Where(address => !address.Contains(':', StringComparison.Ordinal)))
        {
            using var listener = await ListenAsync(namespaces, transport);
            var target = new IPEndPoint(IPAddress.Parse(address), listener.EndPoint.Port);
            using var dialler = await NpmPeer.DialWithinAsync(
                namespaces.On(NamespacePair.East), NpmPeer.Native, target, "exchange", Count, TheirSeed);
            await listener.SayAsync(PeerNoise.Bytes(OurSeed, Count));
            Check.Equal(Of(OurSeed, Count), await ReceivedByAsync(dialler));
            Check.Equal(Of(TheirSeed, Count), await listener.DigestAsync());
            await listener.SucceedAsync();
        }
    }

    [Fact("{0}: utp stun and two peers of a room get in by each address of a rendezvous on all of them", Timeout = 180)]
    [ForEach(typeof(OwnAddresses), nameof(Transports))]
    [CarriesStreams]
    public static async Task Rendezvous(string transport)
    {
        using var namespaces = await CreateAsync();
        using var server = ToolProcess.StartWithin(
            On(namespaces, NamespacePair.West, transport), "rendezvous --bind [::]:0 --bind [::]:0 --stun --json");
        Check.That(await server.ListensAsync(), "the rendezvous listens");
        foreach (var address in Addresses)
        {
            var where = Named(address, server.EndPoint.Port);
            using var stun = ToolProcess.StartWithin(On(namespaces, NamespacePair.East, transport), $"stun {where} --json");
            await stun.SucceedAsync();
            await MeetAsync(namespaces, transport, where);
        }
    }

    [Fact("a listener on all addresses gets in at one that it has got since, over either transport", Timeout = 120)]
    public static async Task NewAddress()
    {
        using var namespaces = await CreateAsync();
        foreach (var transport in new[] { "linux", "managed" })
        {
            using var listener = await ListenAsync(namespaces, transport);
            await namespaces.AddAsync(NamespacePair.West, "192.0.2.77/24");
            using var dialler = ToolProcess.StartWithin(
                On(namespaces, NamespacePair.East, transport), $"cat 192.0.2.77 {listener.EndPoint.Port}");
            listener.EndInput();
            await dialler.SayAsync(PeerNoise.Bytes(OurSeed, Count));
            Check.Equal(Of(OurSeed, Count), await listener.DigestAsync());
            await namespaces.RemoveAsync(NamespacePair.West, "192.0.2.77/24");
        }
    }

    private static async Task MeetAsync(NamespacePair namespaces, string transport, string where)
    {
        var words = $"punch --rendezvous {where} --room r --secret correct-horse-battery --json";
        using var one = ToolProcess.StartWithin(On(namespaces, NamespacePair.East, transport), words);
        using var other = ToolProcess.StartWithin(On(namespaces, NamespacePair.East, transport), words);
        await Task.WhenAll(one.SucceedAsync(s_timeout), other.SucceedAsync(s_timeout));
    }

    private static string Named(string address, int port) => address.Contains(':', StringComparison.Ordinal) ? $"[{address}]:{port}" : $"{address}:{port}";

    private static async Task<NamespacePair> CreateAsync()
    {
        var namespaces = await NamespacePair.CreateAsync();
        await namespaces.AddAsync(NamespacePair.West, s_second);
        await namespaces.AddAsync(NamespacePair.East, "2001:db8::2/64");
        return namespaces;
    }

    private static async Task<ToolProcess> ListenAsync(NamespacePair namespaces, string transport)
    {
        var listener = ToolProcess.StartWithin(On(namespaces, NamespacePair.West, transport), "cat --listen --bind [::]:0");
        await listener.WhereAsync();
        return listener;
    }

    private static string[] On(NamespacePair namespaces, string address, string transport) =>
        [.. namespaces.On(address), "env", $"{TransportVariable}={transport}"];

    private const string TransportVariable = "UTP_TRANSPORT";
}
