using UtpPunch.Attacks.Hosts;
using UtpPunch.Attacks.Network;
using UtpPunch.Attacks.Wire;

namespace UtpPunch.Attacks.Attacks;

/// <summary>A12 and A13: packets in the name of a peer, by an attacker who does not see the stream.</summary>
internal static class Injection
{
    private const int PacketsPerSecond = 60_000;

    /// <summary>How often the victim is asked whether its stream is whole.</summary>
    private const int Parts = 32;

    private enum Knows
    {
        /// <summary>The addresses and ports only.</summary>
        Addresses,

        /// <summary>The stream's id and numbers, too, but not its clocks.</summary>
        Numbers,
    }

    /// <summary>RESETs and data in an idle stream and in a transfer, by an attacker who knows the addresses.</summary>
    public static Task<Finding[]> BlindAsync(AttackContext context) => InjectAllAsync(context, Knows.Addresses);

    /// <summary>The same, by one who knows the stream's id and numbers: the time stamps remain.</summary>
    public static Task<Finding[]> NumbersAsync(AttackContext context) => InjectAllAsync(context, Knows.Numbers);

    private static async Task<Finding[]> InjectAllAsync(AttackContext context, Knows knows)
    {
        var findings = new List<Finding>();
        foreach (var type in new[] { Utp.Reset, Utp.Data })
        {
            findings.AddRange(await Task.WhenAll(InjectAsync(context, false, knows, type), InjectAsync(context, true, knows, type)));
        }

        return [.. findings];
    }

    /// <summary>Whether RESETs to the attacker tell whether a forged packet belonged to a stream.</summary>
    public static async Task<Finding[]> OracleAsync(AttackContext context)
    {
        using var field = context.NewField();
        var (victim, honest) = (field.Victim(), field.Honest());
        await victim.BindAsync();
        await honest.BindAsync();
        await victim.AskAsync("accept echo");
        var id = (ushort)(await honest.AskAsync($"connect {victim.Ip} {victim.Address.Port}")).Number("id");
        await honest.AskAsync("ping");
        var resets = 0L;
        using var reader = field.ReadAttacker((source, _, payload) =>
        {
            if (source == victim.Address && Utp.TryRead(payload, out var header) && header.Type == Utp.Reset)
            {
                Interlocked.Increment(ref resets);
            }
        });
        using var silence = field.Attacker.Bind(new(System.Net.IPAddress.Any, RawPeers.Port));
        using var sender = field.NewSender();
        var (hits, misses) = (new List<long>(), new List<long>());
        for (var round = 0; round < context.Of(2, 10); round++)
        {
            // The opener of a stream sends its id and one more.
            hits.Add(await CountAsync((ushort)(id + 1)));
            misses.Add(await CountAsync((ushort)(id + 20_000 + round)));
        }

        var gap = Math.Abs(hits.Order().ElementAt(hits.Count / 2) - misses.Order().ElementAt(misses.Count / 2));
        return
        [
            new($"{hits.Count} times 300 packets in a peer's name with the stream's id, and with another one, then 400 of the attacker's own",
                $"RESETs to the attacker: {string.Join(' ', hits)} and {string.Join(' ', misses)}",
                "the medians differ by at most 10",
                gap <= 10 && misses.Max() > 0),
        ];

        async Task<long> CountAsync(ushort guess)
        {
            await Task.Delay(750);
            Interlocked.Exchange(ref resets, 0);
            var random = new Random(7);
            sender.Flood(PacketsPerSecond, 300, Of(honest.Address, () => guess), CancellationToken.None);
            sender.Flood(PacketsPerSecond, 400, Of(Address.Of(Field.AttackerIp, RawPeers.Port), () => (ushort)random.Next(65536)), CancellationToken.None);
            await Task.Delay(100);
            return Interlocked.Read(ref resets);
        }

        Forge Of(Address source, Func<ushort> name) => (long _, Span<byte> payload, out Address from, out Address to) =>
        {
            (from, to) = (source, victim.Address);
            return new Utp(Utp.State, name(), Utp.Now, 1, 1 << 20, 1, 1).Write(payload);
        };
    }

    private static async Task<Finding> InjectAsync(AttackContext context, bool isBulk, Knows knows, byte type)
    {
        using var field = context.NewField();
        var (victim, honest) = (field.Victim(), field.Honest());
        await victim.BindAsync();
        await honest.BindAsync();
        await victim.AskAsync(isBulk ? "accept sink" : "accept echo");
        var seen = new LastSeen();
        using var reader = knows == Knows.Numbers ? field.ReadRouter(seen.Take(honest.Address, victim.Address)) : null;
        await honest.AskAsync($"connect {victim.Ip} {victim.Address.Port}");
        await honest.AskAsync(isBulk ? "send 1000000" : "ping");
        var (perSecond, packets) = knows == Knows.Numbers
            ? (context.Of(4000, 2000), 1L << context.Of(11, 16))
            : (PacketsPerSecond, 1L << context.Of(15, 19));
        using var sender = field.NewSender();
        var random = new Random(8);
        Forge forge = (long number, Span<byte> payload, out Address from, out Address to) =>
        {
            (from, to) = (honest.Address, victim.Address);
            return Write(type, payload, seen.Header, random);
        };
        var seconds = packets / (double)perSecond;
        var transfer = isBulk ? honest.AskAsync($"send-for {seconds:F2}", TimeSpan.FromSeconds(seconds + 30)) : Task.FromResult(new Answer(""));
        var isWhole = true;
        for (var part = 0; part < Parts && isWhole; part++)
        {
            await Task.Run(() => sender.Flood(perSecond, packets / Parts, forge, CancellationToken.None));
            isWhole = IsWhole(await victim.StatusAsync(), isBulk);
        }

        var words = await BreaksAsync(transfer, honest, isBulk);
        var status = await victim.StatusAsync();
        var survives = words is null && IsWhole(status, isBulk);
        return new(
            $"{sender.Sent:N0} forged {(type == Utp.Reset ? "RESETs" : "data packets")}, "
            + $"{(knows == Knows.Numbers ? "true id, numbers in the window, random clocks" : "random numbers")}, {(isBulk ? "a transfer" : "an idle stream")}",
            $"the stream {(survives ? "survives" : $"breaks: {words ?? "it carries forged data"}")}, {status.Number("wrong")} wrong bytes",
            knows == Knows.Numbers ? "survives (theory: one in 2^21 packets)" : "survives",
            survives);
    }

    // An idle stream has carried one question of eight bytes, and perhaps another one after the attack.
    private static bool IsWhole(Answer status, bool isBulk) =>
        status.Number("open") == 1 && status.Number("failed") == 0 && status.Number("wrong") == 0 && (isBulk || status.Number("bytes") <= 16);

    // Null if the stream still carries what it must.
    private static async Task<string?> BreaksAsync(Task transfer, Host honest, bool isBulk)
    {
        try
        {
            await transfer;
            await honest.AskAsync(isBulk ? "send-for 0.2" : "ping");
            return null;
        }
        catch (Exception e) when (e is IOException or TimeoutException)
        {
            return e.Message;
        }
    }

    // In the window means for data: the numbers that the peer's next packets have; for a RESET: a number that was acknowledged a moment ago.
    // One with the exact number ends a stream, as with TCP (RFC 5961, 3.2), since a peer that has forgotten a stream echoes no clock.
    private static int Write(byte type, Span<byte> payload, Utp? seen, Random random)
    {
        const int DataLength = 100;
        var header = seen ?? new Utp(0, (ushort)random.Next(65536), 0, 0, 1 << 20, (ushort)random.Next(65536), (ushort)random.Next(65536));
        header.Type = type;
        header.Stamp = (uint)random.NextInt64();
        header.Difference = (uint)random.NextInt64();
        if (seen is not null && type == Utp.Reset)
        {
            header.Ack -= (ushort)random.Next(1, 4);
        }
        else if (seen is not null)
        {
            header.Seq += (ushort)random.Next(0, 8);
        }

        header.Write(payload);
        payload.Slice(Utp.Length, DataLength).Fill(0xEE);
        return type == Utp.Reset ? Utp.Length : Utp.Length + DataLength;
    }

    /// <summary>The header of the last packet from one host to another, as a host on the path sees it.</summary>
    private sealed class LastSeen
    {
        private readonly Lock _lock = new();
        private Utp? _header;

        public Utp? Header
        {
            get
            {
                lock (_lock)
                {
                    return _header;
                }
            }
        }

        public Take Take(Address from, Address to) => (source, target, payload) =>
        {
            if (source == from && target == to && Utp.TryRead(payload, out var header) && header.Type != Utp.Syn)
            {
                lock (_lock)
                {
                    _header = header;
                }
            }
        };
    }
}
