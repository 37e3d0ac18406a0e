using System.Diagnostics;
using UtpPunch.Attacks.Hosts;
using UtpPunch.Attacks.Network;
using UtpPunch.Attacks.Wire;

namespace UtpPunch.Attacks.Attacks;

/// <summary>A10, A11 and A14: what peers with streams, and forged ICMP messages, cost a node.</summary>
internal static class Streams
{
    /// <summary>Forged "fragmentation needed" about the packets of streams.</summary>
    public static async Task<Finding[]> IcmpAsync(AttackContext context)
    {
        var findings = new List<Finding>();
        var least = 0.0;
        foreach (var streams in context.Of<int[]>([10, 1000], [10, 1000, 16_000]))
        {
            var (opened, messages, cost) = await IcmpAsync(context, streams);
            least = least == 0 ? cost : least;
            findings.Add(new(
                $"{messages:N0} forged ICMP messages, 20,000 a second, at a node with {opened} streams",
                $"{cost:F1} us of CPU each",
                findings.Count == 0 ? "at most 10 us" : "at most 10 us, and at most twice that of few streams",
                opened >= streams && cost <= 10 && cost <= Math.Max(4, 2 * least)));
        }

        return [.. findings];
    }

    /// <summary>Peers that let a disposed stream make progress that is none, or hardly any.</summary>
    public static async Task<Finding[]> LingerAsync(AttackContext context)
    {
        var linger = context.Of(0.5, 5.0);
        var ways = new (string, int)[] { ("a window that flips between 0 and 1", 0), ("one byte acknowledged every 0.8 linger times", 1) };
        var ends = await Task.WhenAll(ways.Select(way => LingerAsync(way.Item2 == 0, linger)));
        return [.. ways.Zip(ends, (way, end) => new Finding(
            $"{way.Item1}, linger time-out {linger} s, shutdown time-out {2 * linger} s",
            $"stream {(end.Stream is { } s ? $"closed after {s:F1} s" : $"open after {end.Waited:F0} s")}, node disposed in {end.Node:F1} s",
            $"stream within {12 * linger:F0} s, node within {(2 * linger) + 1:F0} s",
            end.Stream <= 12 * linger && end.Node <= (2 * linger) + 1))];

        Task<(double? Stream, double Waited, double Node)> LingerAsync(bool flips, double linger) =>
            Streams.LingerAsync(context, flips, linger);
    }

    /// <summary>Streams with as much out-of-order data in large datagrams as the window allows.</summary>
    public static async Task<Finding[]> MemoryAsync(AttackContext context)
    {
        const int Datagram = 18_000;
        const long Budget = 64 << 20;
        using var field = context.NewField(mtu: 30_000);
        var victim = field.Victim();
        await victim.BindAsync($"MemoryBudget={Budget}", "MaxConnections=20000");
        await victim.AskAsync("accept hold");
        var streams = context.Of(1000, 16_384);
        using var peers = new RawPeers(field, victim.Address, largest: Datagram + Utp.Length);
        peers.Open(streams, i => (Address.Of(Field.OwnIp, RawPeers.Port).Plus((uint)(i / 8)), (ushort)(2 * i % 65536)), TimeSpan.FromSeconds(60));
        var (before, most, sent) = (await victim.StatusAsync(), 0.0, 0L);
        foreach (var (peer, place) in Rounds().Take(context.Of(8000, 800_000)))
        {
            peers.Send(peer, Utp.Data, (ushort)(peer.Seq + 1 + place), peer.Ack, 1 << 20, Datagram);
            if (++sent % 100 == 0)
            {
                await Task.Delay(15);                           // what the socket's buffer cannot hold would be lost
                most = sent % 500 == 0 ? Math.Max(most, await GrowthAsync()) : most;
            }

            // The bound is exceeded long before the machine has no memory left.
            if (most > 24 * Budget)
            {
                break;
            }
        }

        await Task.Delay(500);
        most = Math.Max(most, await GrowthAsync());
        var arrived = (await victim.StatusAsync()).Number("in") - before.Number("in");
        return
        [
            new($"{peers.Opened} streams, {arrived:N0} datagrams of 18 kB behind a gap ({arrived * Datagram / 1e6:N0} MB)",
                $"the process grows by {most / 1e6:N0} MB",
                $"at most {2 * Budget / 1e6:N0} MB with a budget of {Budget / 1e6:N0} MB",
                arrived > sent / 2 && most <= 2 * Budget),
        ];

        async Task<double> GrowthAsync() => (await victim.StatusAsync()).Number("rss") - before.Number("rss");

        IEnumerable<(RawPeer Peer, int Place)> Rounds() =>
            from place in Enumerable.Range(0, 50) from peer in peers.All where peer.IsOpen select (peer, place);
    }

    private static async Task<(int Opened, long Messages, double Cost)> IcmpAsync(AttackContext context, int streams)
    {
        using var field = context.NewField();
        var victim = field.Victim();
        await victim.BindAsync("MaxConnections=20000");
        await victim.AskAsync("accept hold");
        using var peers = new RawPeers(field, victim.Address);
        var opened = peers.Open(
            streams, i => (Address.Of(Field.OwnIp, RawPeers.Port).Plus((uint)(i / 32)), (ushort)(2 * i % 65536)), TimeSpan.FromSeconds(60));
        using var sender = field.NewSender();
        SendTooLarge(sender, victim.Address, 5000, opened);
        await Task.Delay(500);
        var before = await victim.StatusAsync();
        var messages = context.Of(15_000, 200_000);
        SendTooLarge(sender, victim.Address, messages, opened);
        await Task.Delay(200);
        var after = await victim.StatusAsync();
        return (opened, messages, (after.Number("cpu") - before.Number("cpu")) * 1e6 / messages);
    }

    // 20,000 a second, about packets to the peers of the streams.
    private static void SendTooLarge(RawSender sender, Address victim, int messages, int streams)
    {
        var random = new Random(6);
        var clock = Stopwatch.StartNew();
        var router = Address.Of(Field.AttackerIp, 0);
        for (var sent = 0; sent < messages;)
        {
            for (var due = Math.Min(messages, (int)(clock.Elapsed.TotalSeconds * 20_000) + 1); sent < due; sent++)
            {
                var peer = Address.Of(Field.OwnIp, RawPeers.Port).Plus((uint)random.Next((streams / 32) + 1));
                sender.AddTooLarge(router, victim, peer, (ushort)random.Next(600, 1400));
            }

            sender.Flush();
            Thread.Sleep(1);
        }
    }

    private static async Task<(double? Stream, double Waited, double Node)> LingerAsync(AttackContext context, bool flips, double linger)
    {
        using var field = context.NewField();
        var victim = field.Victim();
        await victim.BindAsync($"LingerTimeout={linger}", $"ShutdownTimeout={2 * linger}");
        await victim.AskAsync("accept leave 60000");
        using var peers = new RawPeers(field, victim.Address, window: 1);
        var peer = peers.Dial(Address.Of(Field.OwnIp, RawPeers.Port), 77);
        var clock = Stopwatch.StartNew();
        using var end = new CancellationTokenSource();
        var attack = Task.Run(async () =>
        {
            for (var round = 0; !end.IsCancellationRequested; round++)
            {
                await Task.Delay(TimeSpan.FromSeconds(flips ? linger / 20 : linger * 0.8));

                // With a window of one byte, each packet carries one byte. Where the window flips, nothing is acknowledged.
                peers.Send(peer, Utp.State, peer.Seq, flips ? peer.Ack : peer.Received, flips ? (uint)(round & 1) : 1);
            }
        });
        double? closed = null;
        while (closed is null && clock.Elapsed.TotalSeconds < 13 * linger)
        {
            await Task.Delay(100);
            var status = await victim.StatusAsync();
            closed = status.Number("closings") > 0 ? status.Number("longest") : null;
        }

        var waited = clock.Elapsed.TotalSeconds;
        peer = peers.Dial(Address.Of(Field.OwnIp, RawPeers.Port), 99);
        await Task.Delay(300);
        var disposed = await victim.AskAsync("dispose");
        await end.CancelAsync();
        await attack;
        return (closed, waited, disposed.Number("seconds"));
    }
}
