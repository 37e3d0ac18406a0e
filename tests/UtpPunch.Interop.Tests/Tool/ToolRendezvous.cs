using System.Diagnostics;
using System.Net;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>A rendezvous that does not stay as it was: clients are killed, the server is started again, or moves to another address of its
/// name.</summary>
public static class ToolRendezvous
{
    private const int Port = 42000;
    private const string Name = "meet.example";

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    [Fact("twenty clients that wait are killed: two that come then meet within a second", Timeout = 120)]
    [CarriesStreams]
    public static async Task Ghosts()
    {
        var loopback = new IPEndPoint(IPAddress.Loopback, 0);
        await using var server = RendezvousServer.Start(new RendezvousServerOptions { LocalEndPoints = [loopback, loopback] });
        await KillTwentyAsync(server);
        Check.Equal(20, server.GetStatistics().Waiting);
        using var one = Meet($"{server.LocalEndPoints[0]}");
        using var other = Meet($"{server.LocalEndPoints[0]}");
        await other.EventAsync("registered");
        var clock = Stopwatch.StartNew();
        await BothAsync(one, other);
        Check.That(clock.Elapsed < TimeSpan.FromSeconds(1), $"they meet after {clock.ElapsedMilliseconds} ms");
    }

    [Fact("a server is killed and started again: a client that waits, and one that comes then, meet within three seconds", Timeout = 120)]
    [CarriesStreams]
    public static async Task StartedAgain()
    {
        using var first = await ToolProcess.IntroduceAsync();
        using var waiting = Meet($"{first.EndPoint}");
        await waiting.EventAsync("registered");
        first.Kill();
        using var second = ToolProcess.Start($"rendezvous --bind {first.EndPoint} --json");
        Check.That(await second.ListensAsync(), "the port is free again");
        var clock = Stopwatch.StartNew();
        using var coming = Meet($"{first.EndPoint}");
        await BothAsync(waiting, coming);
        Check.That(clock.Elapsed < TimeSpan.FromSeconds(3), $"they meet after {clock.ElapsedMilliseconds} ms");
    }

    [Fact("a server moves to another address of its name: a client that waits, and one that comes then, meet within three seconds", Timeout = 120)]
    [CarriesStreams]
    public static async Task Moved()
    {
        using var namespaces = await NamespacePair.CreateAsync();
        await namespaces.AddAsync(NamespacePair.West, "192.0.2.11/24");
        using var names = new HostNames(namespaces);
        names.Set(NamespacePair.West);
        using var first = await ServeAsync(namespaces, NamespacePair.West);
        using var waiting = Meet($"{Name}:{Port}", namespaces);
        await waiting.EventAsync("registered");
        first.Kill();
        using var second = await ServeAsync(namespaces, "192.0.2.11");
        names.Set("192.0.2.11");
        var clock = Stopwatch.StartNew();
        using var coming = Meet($"{Name}:{Port}", namespaces);
        await BothAsync(waiting, coming);
        Check.That(clock.Elapsed < TimeSpan.FromSeconds(3), $"they meet after {clock.ElapsedMilliseconds} ms");
    }

    [Fact("the first address of a name is dead: two clients meet within three seconds at the second one", Timeout = 120)]
    [CarriesStreams]
    public static async Task FirstAddressDead()
    {
        using var namespaces = await NamespacePair.CreateAsync();
        using var names = new HostNames(namespaces);
        names.Set("192.0.2.99", NamespacePair.West);
        using var server = await ServeAsync(namespaces, NamespacePair.West);
        var clock = Stopwatch.StartNew();
        using var one = Meet($"{Name}:{Port}", namespaces);
        using var other = Meet($"{Name}:{Port}", namespaces);
        await BothAsync(one, other);
        Check.That(clock.Elapsed < TimeSpan.FromSeconds(3), $"they meet after {clock.ElapsedMilliseconds} ms");
    }

    private static ToolProcess Meet(string where, NamespacePair? namespaces = null) => ToolProcess.StartWithin(
        namespaces?.On(NamespacePair.East) ?? [], $"punch --rendezvous {where} --room r --secret correct-horse-battery --json");

    private static async Task BothAsync(ToolProcess one, ToolProcess other)
    {
        await one.EventAsync("punched");
        await other.EventAsync("punched");
        await one.SucceedAsync(s_timeout);
        await other.SucceedAsync(s_timeout);
    }

    private static async Task<ToolProcess> ServeAsync(NamespacePair namespaces, string address)
    {
        var server = ToolProcess.StartWithin(namespaces.On(NamespacePair.West), $"rendezvous --bind {address}:{Port} --json");
        Check.That(await server.ListensAsync(), "the server listens");
        return server;
    }

    // Services of one room are not introduced to each other: all of them wait. Their sockets are closed, and the server is told nothing.
    private static async Task KillTwentyAsync(RendezvousServer server)
    {
        var options = new UtpMeetOptions { Secret = "correct-horse-battery" };
        for (var client = 1; client <= 20; client++)
        {
            await using var node = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0) });
            var arrivals = new RendezvousClient(node, server.LocalEndPoints[0]).AcceptAllAsync("r", options).GetAsyncEnumerator();
            var arriving = arrivals.MoveNextAsync().AsTask();
            while (server.GetStatistics().Waiting < client)
            {
                await Task.WhenAny(arriving, Task.Delay(10));
                Check.That(!arriving.IsCompleted, "it waits");
            }

            node.Engine.Transport.Socket!.Dispose();
            await Check.ThrowsAsync<UtpException>(() => arriving);
        }
    }

    /// <summary>The hosts file of a namespace (ip-netns(8)).</summary>
    private sealed class HostNames : IDisposable
    {
        private readonly string _folder;

        public HostNames(NamespacePair namespaces)
        {
            _folder = Path.Combine("/etc/netns", namespaces.On(NamespacePair.East)[^1]);
            Directory.CreateDirectory(_folder);
        }

        public void Set(params string[] addresses) =>
            File.WriteAllLines(Path.Combine(_folder, "hosts"), addresses.Select(address => $"{address} {Name}"));

        public void Dispose() => Directory.Delete(_folder, recursive: true);
    }
}
