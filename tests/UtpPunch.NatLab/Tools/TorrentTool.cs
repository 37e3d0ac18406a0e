using System.Diagnostics;
using System.Net;
using System.Text.Json;
using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab.Tools;

/// <summary>
/// BitTorrent's holepunch extension (BEP 55): A is samples/HolePunch, B and the relay, which is in the open, are libtorrent. A asks the relay, which
/// tells each the endpoint of the other. Before that it asks for a peer that the relay does not know, for the relay, and for itself.
/// </summary>
internal sealed class TorrentTool(World world) : ITool
{
    private const string Python = "/usr/bin/python3";
    private const string Stranger = "203.0.113.77:6881";

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);
    private static readonly string s_script = Path.Combine(Repository.Root, "tests", "peers", "holepunch.py");

    public string Name => "torrents";

    // Both sides need the same mapping for all destinations. A NAT of type 1 before A loses if B's SYN comes before the first one of A.
    public bool Expects(int a, int b, TimeSpan late) => a is 0 or 2 or 3 or 4 && b <= 4;

    public async Task<(Outcome A, Outcome B)> PunchAsync(Lab lab, string room, TimeSpan late, CancellationToken cancellationToken)
    {
        try
        {
            return await PunchAsync(lab, cancellationToken);
        }
        catch (Exception error) when (error is IOException or TimeoutException)
        {
            return (Outcome.Trouble(error.Message), Outcome.Trouble("see A"));
        }
    }

    public void Dispose()
    {
    }

    private async Task<(Outcome A, Outcome B)> PunchAsync(Lab lab, CancellationToken cancellationToken)
    {
        using var relay = new Peer(world.Servers, Python, s_script, $"{World.First.Address}:0");
        using var listening = JsonDocument.Parse(await relay.LineAsync("\"listening\"", s_timeout));
        var relayEndPoint = new IPEndPoint(World.First.Address, listening.RootElement.GetProperty("port").GetInt32());
        using var b = new Peer(lab.B, Python, s_script, $"{Lab.AddressOfB}:6881", $"{relayEndPoint}");
        var endPointOfB = await EndPointAsync(relay);
        using var a = new Peer(
            lab.A, "dotnet", "exec", Repository.HolePunchSample, $"{relayEndPoint}", listening.RootElement.GetProperty("infoHash").GetString()!);
        var endPointOfA = await EndPointAsync(relay);

        await IsAnsweredAsync(a, Stranger, $"{Stranger}: NotConnected (2)");
        await IsAnsweredAsync(a, $"{relayEndPoint}", $"{relayEndPoint}: NotConnected (2)");
        await IsAnsweredAsync(a, endPointOfA, $"{endPointOfA}: NoSelf (4)");
        await a.SayAsync(endPointOfB);
        var clock = Stopwatch.StartNew();
        var answer = await a.LineAsync(endPointOfB, s_timeout);
        if (!answer.Contains("connected to -LT", StringComparison.Ordinal))
        {
            return (Outcome.Failure(answer), Outcome.Failure("A has failed"));
        }

        var elapsed = clock.Elapsed;
        await b.LineAsync($"\"endpoint\": \"{IPEndPoint.Parse(endPointOfA).Address}:", s_timeout);
        a.EndInput();
        return (await a.EndAsync(s_timeout, cancellationToken), Outcome.Success("", elapsed));
    }

    private static async Task IsAnsweredAsync(Peer peer, string question, string answer)
    {
        await peer.SayAsync(question);
        await peer.LineAsync(answer, s_timeout);
    }

    /// <summary>The endpoint of the next peer of the relay.</summary>
    private static async Task<string> EndPointAsync(Peer relay)
    {
        using var peer = JsonDocument.Parse(await relay.LineAsync("\"peer\"", s_timeout));
        return peer.RootElement.GetProperty("endpoint").GetString()!;
    }
}
