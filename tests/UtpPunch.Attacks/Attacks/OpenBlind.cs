using UtpPunch.Attacks.Hosts;
using UtpPunch.Attacks.Network;
using UtpPunch.Attacks.Wire;

namespace UtpPunch.Attacks.Attacks;

/// <summary>A1 and A2: streams that are opened from addresses at which the attacker does not receive, and what they draw.</summary>
internal static class OpenBlind
{
    /// <summary>Guesses for one SYN. A half-open stream ends after a few wrong ones.</summary>
    private const int Guesses = 15;

    private const int PacketsPerSecond = 80_000;
    private const double LeastAmplification = 3;

    public static async Task<Finding[]> ListenerAsync(AttackContext context)
    {
        using var field = context.NewField();
        var victim = field.Victim();
        await victim.BindAsync();
        await victim.AskAsync("accept source 1000000000");
        var packets = 1L << context.Of(18, 22);
        using var sender = field.NewSender();
        var before = field.ReceivedByVictim();
        var (arrived, status, seconds, cost) = await FloodAsync(victim, sender, packets, Guess(victim.Address, new Random(1)));
        var drawn = field.DrawnToThird();
        var sent = Math.Max(1, field.ReceivedByVictim() - before);
        return
        [
            new($"{arrived:N0} SYNs and guesses of ack_nr in {seconds:F0} s, forged sources",
                $"{status.Number("accepted"):N0} streams opened, {cost:F1} us of CPU a packet",
                "0 streams (theory: one in 2^27 packets)",
                status.Number("accepted") == 0 && arrived > packets / 4),
            new($"{sent:N0} bytes to the victim",
                $"{drawn:N0} bytes to the forged addresses, x {(double)drawn / sent:F2}",
                "at most 3 x",
                drawn <= LeastAmplification * sent),
        ];
    }

    /// <summary>The operator of a rendezvous knows both endpoints, and opens a stream in the place of the peer.</summary>
    public static async Task<Finding[]> MeetingAsync(AttackContext context)
    {
        // A long path gives the operator time.
        using var field = context.NewField(delayMs: 60);
        var (server, a, b) = (field.Other(), field.Victim(), field.Honest());
        await server.RendezvousAsync();
        await a.BindAsync();
        await b.BindAsync();
        using var sender = field.NewSender();
        using var end = new CancellationTokenSource();
        var random = new Random(2);
        var flood = Task.Factory.StartNew(
            () => sender.Flood(PacketsPerSecond, long.MaxValue, Between(a.Address, b.Address, random), end.Token),
            TaskCreationOptions.LongRunning);
        var meetings = context.Of(3, 40);
        var (met, stolen) = (0, 0);
        for (var i = 0; i < meetings; i++)
        {
            var outcomes = await Meetings.MeetAsync(server, a, b, $"room{i}", TimeSpan.FromSeconds(15));
            met += outcomes.Count(outcome => outcome.IsRight);
            stolen += outcomes.Count(outcome => outcome.IsWrong);
        }

        await end.CancelAsync();
        await flood;
        return
        [
            new($"{meetings} meetings with a secret, {sender.Sent:N0} SYNs and guesses between the two endpoints",
                $"{stolen} of {2 * meetings} streams are the operator's, {met} the peer's",
                "0 streams of the operator's, all of the peer's",
                stolen == 0 && met == 2 * meetings),
        ];
    }

    /// <summary>A peer that has opened a stream, and acknowledges without receiving: what would amplify if its address were another's.</summary>
    public static async Task<Finding[]> AcknowledgeAsync(AttackContext context)
    {
        var guesses = new (string Name, Func<RawPeer, Random, uint> Guess)[]
        {
            ("the clock of the SYN-ACK", (peer, _) => peer.FirstDifference),
            ("random clocks", (_, random) => (uint)random.NextInt64()),
        };
        return await Task.WhenAll(guesses.Select(it => AcknowledgeAsync(context, it.Name, it.Guess)));
    }

    private static async Task<Finding> AcknowledgeAsync(AttackContext context, string clock, Func<RawPeer, Random, uint> guess)
    {
        using var field = context.NewField();
        var victim = field.Victim();
        await victim.BindAsync();
        await victim.AskAsync("accept source 1000000000");
        using var peers = new RawPeers(field, victim.Address);
        var streams = context.Of(8, 64);
        peers.Open(streams, i => (Address.Of(Field.OwnIp, RawPeers.Port).Plus((uint)i), 1000), TimeSpan.FromSeconds(10));
        var random = new Random(3);
        var seconds = context.Of(2.0, 10.0);
        var rounds = (int)(seconds * 100);
        for (var round = 0; round < rounds; round++)
        {
            foreach (var peer in peers.All)
            {
                // Numbers that grow as a window would, of packets that this host has not seen.
                peer.Difference = guess(peer, random);
                peers.Send(peer, Utp.State, peer.Seq, (ushort)(peer.Ack + 1 + random.Next(2 + (round * 10))), 1 << 20);
            }

            await Task.Delay(10);
        }

        var (sent, drawn) = (peers.All.Sum(peer => peer.BytesSent), peers.All.Sum(peer => peer.BytesDrawn));
        return new(
            $"{peers.Opened} streams, {sent:N0} bytes of acknowledgements in {seconds:F0} s, {clock}",
            $"{drawn:N0} bytes drawn, x {(double)drawn / sent:F2}",
            "at most 3 x",
            peers.Opened == streams && drawn <= LeastAmplification * sent);
    }

    /// <summary>Sends forged packets until as many have arrived at the victim's socket, or four times as many were sent.</summary>
    public static async Task<(long Arrived, Answer Status, double Seconds, double Microseconds)> FloodAsync(Host victim, RawSender sender, long packets, Forge forge)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var before = await victim.StatusAsync();
        var status = before;
        for (var attempt = 0; attempt < 4; attempt++)
        {
            var missing = packets - (long)(status.Number("in") - before.Number("in"));
            if (missing <= 0)
            {
                break;
            }

            await Task.Factory.StartNew(
                () => sender.Flood(PacketsPerSecond, missing, forge, CancellationToken.None), TaskCreationOptions.LongRunning);
            await Task.Delay(100);
            status = await victim.StatusAsync();
        }

        var arrived = (long)(status.Number("in") - before.Number("in"));
        var cost = (status.Number("cpu") - before.Number("cpu")) * 1e6 / Math.Max(1, arrived);
        return (arrived, status, clock.Elapsed.TotalSeconds, cost);
    }

    private static Forge Guess(Address victim, Random random)
    {
        var source = default(Address);
        ushort id = 0;
        return (long number, Span<byte> payload, out Address from, out Address to) =>
        {
            var isSyn = number % (Guesses + 1) == 0;
            if (isSyn)
            {
                source = Address.Of(Field.ThirdIp, random.Next(1024, 65536)).Plus((uint)random.Next(100_000));
                id = (ushort)random.Next(65535);
            }

            (from, to) = (source, victim);
            return Packet(isSyn, id, random).Write(payload);
        };
    }

    private static Forge Between(Address a, Address b, Random random)
    {
        var ids = new ushort[2];
        return (long number, Span<byte> payload, out Address from, out Address to) =>
        {
            var side = (int)(number & 1);
            (from, to) = side == 0 ? (b, a) : (a, b);
            var isSyn = number / 2 % (Guesses + 1) == 0;
            if (isSyn)
            {
                ids[side] = (ushort)random.Next(65535);
            }

            return Packet(isSyn, ids[side], random).Write(payload);
        };
    }

    private static Utp Packet(bool isSyn, ushort id, Random random) => isSyn
        ? new(Utp.Syn, id, Utp.Now, 0, 1 << 20, 1, 0)
        : new(Utp.State, (ushort)(id + 1), Utp.Now, (uint)random.NextInt64(), 1 << 20, 2, (ushort)random.Next(65536));
}
