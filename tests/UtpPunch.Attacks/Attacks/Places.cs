using UtpPunch.Attacks.Hosts;
using UtpPunch.Attacks.Network;
using UtpPunch.Attacks.Wire;

namespace UtpPunch.Attacks.Attacks;

/// <summary>A9: the places of a node for streams, and for half-open ones.</summary>
internal static class Places
{
    public const int SynsPerSecond = 50_000;

    /// <summary>One address opens streams until it gets no more.</summary>
    public static async Task<Finding[]> TakeAllAsync(AttackContext context)
    {
        using var field = context.NewField();
        var (victim, honest) = (field.Victim(), field.Honest());
        var places = context.Of(2048, 16384);       // an address gets 1024
        await victim.BindAsync($"MaxConnections={places}");
        await honest.BindAsync("ConnectTimeout=3");
        await victim.AskAsync("accept hold");
        using var peers = new RawPeers(field, victim.Address);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        peers.Open(places + 100, i => (Address.Of(Field.OwnIp, RawPeers.Port), (ushort)(2 * i)), TimeSpan.FromSeconds(context.Of(10, 60)));
        var seconds = clock.Elapsed.TotalSeconds;
        var taken = (await victim.StatusAsync()).Number("accepted");
        var wait = await ConnectAsync(honest, victim.Address);
        return
        [
            new($"one address asks for {places + 100} streams of a node with {places} places, in {seconds:F1} s",
                $"it gets {taken}; another address {(wait is { } ms ? $"connects after {ms:F0} ms" : "does not connect")}",
                "another address connects within 2 s",
                wait <= 2000),
        ];
    }

    /// <summary>A flood of SYNs from addresses that do not exist, while an honest host connects over a path of 40 ms.</summary>
    public static async Task<Finding[]> SynFloodAsync(AttackContext context)
    {
        using var field = context.NewField(delayMs: 20);
        var (victim, honest) = (field.Victim(), field.Honest());
        await victim.BindAsync();
        await honest.BindAsync("ConnectTimeout=3");
        await victim.AskAsync("accept sink");
        using var sender = field.NewSender();
        using var end = new CancellationTokenSource();
        var rate = RateOf(context);
        var flood = StartFlood(sender, victim.Address, rate, end.Token);
        await Task.Delay(1000);
        var tries = context.Of(5, 30);
        var waits = new List<double?>();
        for (var i = 0; i < tries; i++)
        {
            waits.Add(await ConnectAsync(honest, victim.Address));
        }

        await end.CancelAsync();
        await flood;
        var slowest = waits.All(wait => wait is not null) ? waits.Max() : null;
        return
        [
            new($"{sender.Sent:N0} SYNs of forged sources, {rate:N0} a second",
                $"{waits.Count(wait => wait is not null)} of {tries} honest hosts connect over 40 ms"
                + $"{(slowest is { } ms ? $", the slowest after {ms:F0} ms" : "")}",
                "all within 2 s",
                slowest <= 2000),
        ];
    }

    /// <summary>
    /// What a transfer keeps, compared with the same flood at a program that answers each SYN and does nothing else. All of them share the processor
    /// with the attacker, and the kernel's part of an answer is larger than the node's own. The flood to a port without a socket is shown, too.
    /// </summary>
    public static async Task<Finding[]> ThroughputAsync(AttackContext context)
    {
        using var field = context.NewField();
        var (victim, honest) = (field.Victim(), field.Honest());
        await victim.BindAsync();
        await honest.BindAsync();
        await victim.AskAsync("accept sink");
        await honest.AskAsync($"connect {victim.Ip} {victim.Address.Port}");
        await honest.AskAsync("send 20000000");
        var closed = victim.Address with { Port = (ushort)(victim.Address.Port ^ 1) };
        var responder = await victim.RespondAsync();
        var (alone, toClosed, toResponder, toVictim) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        for (var round = 0; round < context.Of(2, 4); round++)
        {
            alone.Add(await RateAsync(context, field, honest, null));
            toClosed.Add(await RateAsync(context, field, honest, closed));
            toResponder.Add(await RateAsync(context, field, honest, responder));
            toVictim.Add(await RateAsync(context, field, honest, victim.Address));
        }

        var wrong = (await victim.StatusAsync()).Number("wrong");
        var kept = toVictim.Max() / toResponder.Max();
        return
        [
            new($"{RateOf(context):N0} SYNs a second at a node that receives {alone.Max():F0} MB/s",
                $"{toVictim.Max():F0} MB/s; {toResponder.Max():F0} MB/s if the flood goes to a program that only answers, {toClosed.Max():F0} if to a closed port: "
                + $"{kept:P0} and {toVictim.Max() / toClosed.Max():P0}; {wrong} wrong bytes",
                "at least 80 % of the first, no wrong byte",
                kept >= 0.8 && wrong == 0),
        ];
    }

    private static async Task<double> RateAsync(AttackContext context, Field field, Host honest, Address? target)
    {
        using var sender = field.NewSender();
        using var end = new CancellationTokenSource();
        var flood = target is { } address ? StartFlood(sender, address, RateOf(context), end.Token) : Task.CompletedTask;
        await Task.Delay(300);
        var sent = await honest.AskAsync($"send-for {context.Of(0.5, 4.0)}");
        await end.CancelAsync();
        await flood;
        return sent.Number("bytes") / 1e6 / sent.Number("seconds");
    }

    // The short form runs beside other tests, which leave less of the machine.
    private static int RateOf(AttackContext context) => context.Of(20_000, SynsPerSecond);

    /// <summary>Starts a flood of SYNs.</summary>
    public static Task StartFlood(RawSender sender, Address target, int packetsPerSecond, CancellationToken cancellationToken)
    {
        var random = new Random(5);
        return Task.Factory.StartNew(
            () => sender.Flood(
                packetsPerSecond,
                long.MaxValue,
                (long number, Span<byte> payload, out Address from, out Address to) =>
                {
                    from = Address.Of(Field.ThirdIp, random.Next(1024, 65536)).Plus((uint)random.Next(100_000));
                    to = target;
                    return new Utp(Utp.Syn, (ushort)random.Next(65535), Utp.Now, 0, 1 << 20, 1, 0).Write(payload);
                },
                cancellationToken),
            TaskCreationOptions.LongRunning);
    }

    // Null if it fails.
    private static async Task<double?> ConnectAsync(Host host, Address target)
    {
        try
        {
            return (await host.AskAsync($"connect {target.EndPoint.Address} {target.Port}")).Number("ms");
        }
        catch (IOException)
        {
            return null;
        }
    }
}
