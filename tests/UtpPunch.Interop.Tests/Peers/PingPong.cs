using System.Net;
using System.Text;
using System.Text.Json;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>
/// The hole-punching example of the npm package utp-punch: a tracker introduces a server and a client, they punch, and play ping-pong over
/// a stream. Each of the three parts is ours once, the others are the package's, unchanged.
/// </summary>
public static class PingPong
{
    private const int TrackerPort = 42000;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(40);

    [Fact("utp rendezvous --legacy, with its default ports, stands in for the tracker: the package's server and client play", Timeout = 120)]
    public static async Task OurTracker()
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var islands = await Islands.RaiseAsync();
        using var tracker = ToolProcess.StartWithin(islands.On(Islands.West), "rendezvous --legacy --json");
        await tracker.EventAsync("listening");
        using var server = await ServerAsync(islands);
        using var client = await ClientAsync(islands);
        await server.SaysAsync("punching result: success");
        await client.SaysAsync("punching result: success");
        await server.SaysAsync("received 'PING'");
        await client.SaysAsync("received 'PONG'");
    }

    [Fact("our punch stands in for the server: the package's tracker introduces it, and the package's client plays with it", Timeout = 120)]
    [CarriesStreams]
    public static async Task OurServer()
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var islands = await Islands.RaiseAsync();
        using var tracker = await TrackerAsync(islands);
        await using var node = Bind(islands, Islands.West);
        await using var listener = node.Listen();
        var introduction = AskAsync(node, "SERVER");
        await tracker.SaysAsync("server is online");
        using var client = await ClientAsync(islands);
        var punched = await node.PunchAsync(await introduction).AsTask().WaitAsync(Timeout);
        Check.That(punched.Success, punched.Explanation);
        await using var stream = await listener.AcceptAsync().AsTask().WaitAsync(Timeout);
        Check.Equal("PING", await HearAsync(stream));
        await stream.WriteAsync("PONG"u8.ToArray());
        await client.SaysAsync("received 'PONG'");
        Check.Equal("PING", await HearAsync(stream));
    }

    [Fact("our punch stands in for the client: the package's tracker introduces it, and it plays with the package's server", Timeout = 120)]
    public static async Task OurClient()
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var islands = await Islands.RaiseAsync();
        using var tracker = await TrackerAsync(islands);
        using var server = await ServerAsync(islands);
        await tracker.SaysAsync("server is online");
        await using var node = Bind(islands, Islands.East);
        var peer = await AskAsync(node, "CLIENT");
        var punched = await node.PunchAsync(peer).AsTask().WaitAsync(Timeout);
        Check.That(punched.Success, punched.Explanation);
        await using var stream = await node.ConnectAsync(punched.RemoteEndPoint!).AsTask().WaitAsync(Timeout);
        await stream.WriteAsync("PING"u8.ToArray());
        await server.SaysAsync("received 'PING'");
        Check.Equal("PONG", await HearAsync(stream));
    }

    private static Task<NpmExample> TrackerAsync(Islands islands) =>
        NpmExample.StartAsync("tracker.js", islands, Islands.West, Islands.West, "tracker listening");

    private static Task<NpmExample> ServerAsync(Islands islands) =>
        NpmExample.StartAsync("server.js", islands, Islands.West, Islands.West, "registered with the tracker");

    private static Task<NpmExample> ClientAsync(Islands islands) =>
        NpmExample.StartAsync("client.js", islands, Islands.East, Islands.West, "registered with the tracker");

    private static UtpNode Bind(Islands islands, string address)
    {
        var options = new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Parse(address), 0), Dialect = UtpDialect.UtpPunch };
        return islands.Do(address, () => UtpNode.BindAsync(options).AsTask().GetAwaiter().GetResult());
    }

    /// <summary>Registers with the tracker as the example does, and waits for the address of the other peer.</summary>
    private static async Task<IPEndPoint> AskAsync(UtpNode node, string name)
    {
        var tracker = new IPEndPoint(IPAddress.Parse(Islands.West), TrackerPort);
        var answer = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        node.OnDatagram((datagram, from, _) =>
        {
            if (from.Equals(tracker))
            {
                answer.TrySetResult(Encoding.UTF8.GetString(datagram));
            }
        });
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
