using System.Diagnostics;
using System.Text.Json;
using UtpPunch.Attacks.Hostile;
using UtpPunch.Attacks.Network;
using UtpPunch.Attacks.Wire;
using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Attacks;

/// <summary>
/// Hostile datagrams of all kinds, as many as no socket carries in this time: they go to the pure core, in a process of its own
/// (<see cref="HostileProgram"/>).
/// </summary>
internal static class HostileDatagrams
{
    private const int Rate = 30_000;

    public static Task<Finding[]> NodeAsync(AttackContext context) => RunAsync(context, "node", context.Of(300_000L, 10_000_000L));

    public static Task<Finding[]> RendezvousAsync(AttackContext context) => RunAsync(context, "rendezvous", context.Of(200_000L, 10_000_000L));

    /// <summary>Fewer of them over a real socket, for comparison: this is the cost with system calls, of the whole process.</summary>
    public static async Task<Finding[]> SocketAsync(AttackContext context)
    {
        const double MaxCost = 20;
        var findings = new List<Finding>();
        foreach (var streams in context.Of<int[]>([10, 1000], [10, 1000, 16_000]))
        {
            var (sent, cost, status) = await FloodAsync(context, streams);
            findings.Add(new(
                $"{sent:N0} hostile datagrams, {Rate:N0} a second, over the socket of a node with {streams} streams",
                $"{cost:F1} us of CPU each; {status.Number("open"):F0} streams are open, {status.Number("unexpected"):F0} exceptions; an honest host connects",
                $"at most {MaxCost} us; all streams, no exception",
                cost <= MaxCost && status.Number("open") >= streams && status.Number("unexpected") == 0));
        }

        return [.. findings];
    }

    private static async Task<(long Sent, double Cost, Hosts.Answer Status)> FloodAsync(AttackContext context, int streams)
    {
        const int Largest = 2048;
        using var field = context.NewField();
        var (victim, honest) = (field.Victim(), field.Honest());
        await victim.BindAsync("MaxConnections=20000");
        await victim.AskAsync("accept hold");
        await honest.BindAsync();
        using var peers = new RawPeers(field, victim.Address);
        peers.Open(
            streams, i => (Address.Of(Field.OwnIp, RawPeers.Port).Plus((uint)(i / 32)), (ushort)(2 * i % 65536)), TimeSpan.FromSeconds(60));
        await ProveAsync(peers);
        var facts = new NodeFacts();
        facts.Streams.AddRange(peers.All.Where(peer => peer.IsOpen).Select(Facts));
        var draws = new Draws(1);
        HostileKind[] kinds = [.. new NodeDatagrams(facts, draws).All.Where(kind => !kind.NeedsPeers)];
        using var sender = field.NewSender(Largest);
        Forge forge = (long _, Span<byte> payload, out Address from, out Address to) =>
        {
            var length = draws.Of(kinds).Write(payload[..Largest], out var source);
            (from, to) = (new Address((uint)source.Low, source.Port), victim.Address);
            return length;
        };
        var count = context.Of(60_000L, 600_000L);
        sender.Flood(Rate, count / 10, forge, CancellationToken.None);
        var before = await victim.StatusAsync();
        sender.Flood(Rate, count, forge, CancellationToken.None);
        await Task.Delay(200);
        var after = await victim.StatusAsync();
        await honest.AskAsync($"connect {victim.Ip} {victim.Address.Port}");
        var received = after.Number("in") - before.Number("in");
        return ((long)received, (after.Number("cpu") - before.Number("cpu")) * 1e6 / received, after);
    }

    // Until a peer has echoed what the node has sent, a few forged packets end its stream (docs/security.md). The node acknowledges a byte.
    private static async Task ProveAsync(RawPeers peers)
    {
        await SendAsync(peer => peers.Send(peer, Utp.Data, peer.Seq, peer.Ack, 1 << 20, 1));
        await SendAsync(peer => peers.Send(peer, Utp.State, (ushort)(peer.Seq + 1), peer.Ack, 1 << 20));

        async Task SendAsync(Action<RawPeer> send)
        {
            const int AtATime = 50;
            foreach (var part in peers.All.Where(peer => peer.IsOpen).Chunk(AtATime))
            {
                Array.ForEach(part, send);
                await Task.Delay(5);                            // what the socket's buffer cannot hold would be lost
            }

            await Task.Delay(500);
        }
    }

    private static StreamFacts Facts(RawPeer peer) => new(EndpointModule.ofIPv4(peer.Local.Ip, peer.Local.Port), (ushort)(peer.Id + 1))
    {
        Seq = peer.Seq,
        Ack = peer.Ack,
        Next = (ushort)(peer.Ack + 1),
    };

    private static async Task<Finding[]> RunAsync(AttackContext context, string victim, long datagrams)
    {
        using var run = Process.Start(new ProcessStartInfo("dotnet", ["exec", context.Program, "hostile", victim, "--datagrams", $"{datagrams}", "--json"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        try
        {
            var output = run.StandardOutput.ReadToEndAsync();
            var errors = run.StandardError.ReadToEndAsync();
            await run.WaitForExitAsync();
            return run.ExitCode == 0
                ? JsonSerializer.Deserialize<Finding[]>(await output)!
                : [new($"{datagrams:N0} hostile datagrams to a {victim}", $"the process has ended: {await errors}".ReplaceLineEndings(" "), "no exception", false)];
        }
        finally
        {
            run.Kill();
        }
    }
}
