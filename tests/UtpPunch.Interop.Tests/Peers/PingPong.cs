using System.Net;
using System.Text;
using System.Text.Json;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>
/// The hole-punching example of the npm package utp-punch: a tracker introduces a server and a client, which punch and play ping-pong over
/// a stream. Each of the three programs is replaced by ours once; the others are the package's, unchanged.
/// </summary>
public static class PingPong
{
    private const int TrackerPort = 42000;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(40);

    [Fact("utp rendezvous --legacy, with its default ports, replaces the tracker: the package's server and client play", Timeout = 120)]
    public static async Task OurTracker()
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var namespaces = await NamespacePair.CreateAsync();
        using var tracker = ToolProcess.StartWithin(namespaces.On(NamespacePair.West), "rendezvous --legacy --json");
        await tracker.EventAsync("listening");
        using var server = await ServerAsync(namespaces);
        using var client = await ClientAsync(namespaces);
        await server.SaysAsync("punching result: success");
        await client.SaysAsync("punching result: success");
        await server.SaysAsync("received 'PING'");
        await client.SaysAsync("received 'PONG'");
    }

    [Fact("our punch replaces the server: the package's tracker introduces it, and the package's client plays with it", Timeout = 120)]
    [CarriesStreams]
    public static async Task OurServer()
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var namespaces = await NamespacePair.CreateAsync();
        using var tracker = await TrackerAsync(namespaces);
        await using var node = Bind(namespaces, NamespacePair.West);
        await using var listener = node.Listen();
        var introduction = AskAsync(node, "SERVER");
        await tracker.SaysAsync("server is online");
        using var client = await ClientAsync(namespaces);
        var punched = await node.PunchNpmAsync(await introduction).AsTask().WaitAsync(Timeout);
        Check.That(punched.Success, punched.Explanation);
        await using var stream = await listener.AcceptAsync().AsTask().WaitAsync(Timeout);
        Check.Equal("PING", await HearAsync(stream));
        await stream.WriteAsync("PONG"u8.ToArray());
        await client.SaysAsync("received 'PONG'");
        Check.Equal("PING", await HearAsync(stream));
    }

    [Fact("our punch replaces the client: the package's tracker introduces it, and it plays with the package's server", Timeout = 120)]
    public static async Task OurClient()
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var namespaces = await NamespacePair.CreateAsync();
        using var tracker = await TrackerAsync(namespaces);
        using var server = await ServerAsync(namespaces);
        await tracker.SaysAsync("server is online");
        await using var node = Bind(namespaces, NamespacePair.East);
        var peer = await AskAsync(node, "CLIENT");
        var punched = await node.PunchNpmAsync(peer).AsTask().WaitAsync(Timeout);
        Check.That(punched.Success, punched.Explanation);
        await using var stream = await node.ConnectAsync(punched.Path!.RemoteEndPoint!).AsTask().WaitAsync(Timeout);
        await stream.WriteAsync("PING"u8.ToArray());
        await server.SaysAsync("received 'PING'");
        Check.Equal("PONG", await HearAsync(stream));
    }

    private static Task<NpmExample> TrackerAsync(NamespacePair namespaces) =>
        NpmExample.StartAsync("tracker.js", namespaces, NamespacePair.West, NamespacePair.West, "tracker listening");

    private static Task<NpmExample> ServerAsync(NamespacePair namespaces) =>
        NpmExample.StartAsync("server.js", namespaces, NamespacePair.West, NamespacePair.West, "registered with the tracker");

    private static Task<NpmExample> ClientAsync(NamespacePair namespaces) =>
        NpmExample.StartAsync("client.js", namespaces, NamespacePair.East, NamespacePair.West, "registered with the tracker");

    private static UtpNode Bind(NamespacePair namespaces, string address)
    {
        var options = new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Parse(address), 0), Dialect = UtpDialect.Npm };
        return namespaces.Do(address, () => UtpNode.BindAsync(options).AsTask().GetAwaiter().GetResult());
    }

    /// <summary>Registers with the tracker as the example does, and waits for the address of the other peer.</summary>
    private static async Task<IPEndPoint> AskAsync(UtpNode node, string name)
    {
        var tracker = new IPEndPoint(IPAddress.Parse(NamespacePair.West), TrackerPort);
        var answer = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        node.DatagramHandler = (datagram, from, _) =>
        {
            if (from.Equals(tracker))
            {
                answer.TrySetResult(Encoding.UTF8.GetString(datagram));
            }
        };
        await node.SendDatagramAsync(Encoding.UTF8.GetBytes($"{{\"name\":\"{name}\"}}"), tracker);
        using var json = JsonDocument.Parse(await answer.Task.WaitAsync(Timeout));
        var peer = json.RootElement;
        return new IPEndPoint(IPAddress.Parse(peer.GetProperty("address").GetString()!), peer.GetProperty("port").GetInt32());
    }

    private static async Task<string> HearAsync(UtpStream stream)
    {
        var word = new byte[4];
        await stream.ReadExactlyAsync(word).AsTask().WaitAsync(Timeout);
        return Encoding.ASCII.GetString(word);
    }
}
