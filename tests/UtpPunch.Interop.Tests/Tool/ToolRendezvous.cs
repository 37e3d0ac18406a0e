using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>A rendezvous that does not stay as it was: clients are killed, the server is started again, or moves to another address of its
/// name.</summary>
public static class ToolRendezvous
{
    private const int Port = 42000;
    private const int AdminPort = 9100;
    private const string Name = "meet.example";

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    [Fact("twenty clients that wait are killed: two that come then meet within a second", Timeout = 120)]
    [CarriesStreams]
    public static async Task Ghosts()
    {
        var loopback = new IPEndPoint(IPAddress.Loopback, 0);
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [loopback, loopback] });
        await KillTwentyAsync(server);
        Check.Equal(20, server.GetStatistics().WaitingPeers);
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

    [Fact("the instance of three is killed at which a client waits: it moves to another one, and meets within five seconds a peer that comes to the third", Timeout = 120)]
    [CarriesStreams]
    public static async Task MovesToAnotherInstance()
    {
        string[] addresses = [NamespacePair.West, "192.0.2.11", "192.0.2.12"];
        using var namespaces = await NamespacePair.CreateAsync();
        Skip.Unless(OtherTool.Find("redis-server") is not null, "needs redis-server");
        await namespaces.AddAsync(NamespacePair.West, "192.0.2.11/24", "192.0.2.12/24");
        using var names = new HostNames(namespaces);
        names.Set(addresses);
        using var redis = new RedisServer(namespaces.On(NamespacePair.West));
        await redis.StartAsync();
        using var first = await InstanceAsync(namespaces, addresses[0], redis);
        using var second = await InstanceAsync(namespaces, addresses[1], redis);
        using var third = await InstanceAsync(namespaces, addresses[2], redis);
        ProgramRun[] instances = [first, second, third];

        // It asks the addresses of the name in turn, and registers at the first that answers.
        using var waiting = Meet($"{Name}:{Port}", namespaces);
        await waiting.EventAsync("registered");
        var at = Array.FindIndex(addresses, address => IsWaitedAt(namespaces, address));
        Check.That(at >= 0, "it waits at one of the instances");
        instances[at].Kill();
        var clock = Stopwatch.StartNew();
        using var coming = Meet($"{addresses[(at + 2) % 3]}:{Port}", namespaces);
        await BothAsync(waiting, coming);
        Console.WriteLine($"the peers meet {clock.ElapsedMilliseconds} ms after instance {at} was killed");
        Check.That(clock.Elapsed < TimeSpan.FromSeconds(5), $"they meet after {clock.ElapsedMilliseconds} ms");
    }

    private static async Task<ProgramRun> InstanceAsync(NamespacePair namespaces, string address, RedisServer redis)
    {
        string[] command =
        [
            .. namespaces.On(NamespacePair.West), "dotnet", "exec", Repository.OutputOf("src/UtpPunch.Rendezvous", "utp-rendezvous"),
            "--Admin", $"{address}:{AdminPort}", "--Redis", $"{redis.EndPoint}", "--Listen:0", $"{address}:{Port}", "--Listen:1", $"{address}:{Port + 1}",
        ];
        var instance = ProgramRun.Start(Repository.Root, command[0], command[1..]);
        await instance.LineAsync("Listening on");
        return instance;
    }

    /// <summary>Whether a peer waits at an instance, as its metrics say.</summary>
    private static bool IsWaitedAt(NamespacePair namespaces, string address) => namespaces.Do(NamespacePair.East, () =>
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(IPEndPoint.Parse($"{address}:{AdminPort}"));
        socket.Send(Encoding.ASCII.GetBytes($"GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
        using var reader = new StreamReader(new NetworkStream(socket));
        return reader.ReadToEnd().Contains("utp_rendezvous_registrations 1\n", StringComparison.Ordinal);
    });

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
    private static async Task KillTwentyAsync(UtpRendezvousServer server)
    {
        var options = new UtpPunchOptions { Secret = "correct-horse-battery" };
        for (var client = 1; client <= 20; client++)
        {
            await using var node = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0) });
            var arrivals = new UtpRendezvousClient(node, server.LocalEndPoints[0]).AcceptAllAsync("r", options).GetAsyncEnumerator();
            var arriving = arrivals.MoveNextAsync().AsTask();
            while (server.GetStatistics().WaitingPeers < client)
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
