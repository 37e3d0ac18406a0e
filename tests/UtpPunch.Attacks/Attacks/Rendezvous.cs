using System.Buffers.Binary;
using UtpPunch.Attacks.Hosts;
using UtpPunch.Attacks.Network;
using UtpPunch.Attacks.Wire;

namespace UtpPunch.Attacks.Attacks;

/// <summary>A4, A5, A7, A8, and floods: what a rendezvous and those who meet there can be made to do.</summary>
internal static class Rendezvous
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(15);

    /// <summary>Datagrams with the sources of honest clients.</summary>
    public static async Task<Finding[]> ForgeAsync(AttackContext context)
    {
        using var field = context.NewField();
        var (server, a, b) = (field.Victim(), field.Honest(), field.Other());
        await server.RendezvousAsync();
        await a.BindAsync();
        await b.BindAsync();
        var findings = new List<Finding>();
        foreach (var rate in context.Of<int[]>([2000], [150, 2000, 20_000]))
        {
            findings.Add(await UnderFloodAsync(
                context, field, (server, a, b), rate, $"{rate} one-byte datagrams a second with the addresses of both", OneByte(server, a, b)));
        }

        return [.. findings];
    }

    public static async Task<Finding[]> FloodAsync(AttackContext context)
    {
        using var field = context.NewField();
        var (server, a, b) = (field.Victim(), field.Honest(), field.Other());
        await server.RendezvousAsync();
        await a.BindAsync();
        await b.BindAsync();
        var random = new Random(4);
        var finding = await UnderFloodAsync(
            context, field, (server, a, b), 50_000, "50,000 registrations a second from forged sources, with random cookies",
            (long number, Span<byte> payload, out Address from, out Address to) =>
            {
                from = Address.Of(Field.ThirdIp, random.Next(1024, 65536)).Plus((uint)random.Next(100_000));
                to = server.Address;
                return Register(payload, random);
            });
        var (drawn, sent) = (field.DrawnToThird(), field.ReceivedByVictim());
        return
        [
            finding,
            new($"{sent:N0} bytes to the server", $"{drawn:N0} bytes to the forged addresses, x {(double)drawn / sent:F2}", "at most 1 x", drawn <= sent),
        ];
    }

    /// <summary>A room with thousands of members, all of which answer the server's challenge.</summary>
    public static async Task<Finding[]> CrowdAsync(AttackContext context)
    {
        var members = context.Of(1000, 8000);
        var few = await CostOfRoomsAsync(context, members, members / 4);
        var many = await CostOfRoomsAsync(context, members, 1);
        return
        [
            new($"{members} members in rooms of four, {few.Datagrams:N0} registrations",
                $"{few.Own:F1} us of CPU each, and {few.System:F1} us of the kernel's; {few.Waiting} wait", "at most 10 us of its own", few.Own <= 10),
            new($"{members} hosts that enter one room, {many.Datagrams:N0} registrations",
                $"{many.Own:F1} us of CPU each, and {many.System:F1} us of the kernel's; {many.Waiting} wait",
                "at most 10 us of its own, and at most twice that of small rooms",
                many.Own <= 10 && many.Own <= Math.Max(4, 2 * few.Own)),
        ];
    }

    /// <summary>A peer that names addresses of a third party as its own.</summary>
    public static async Task<Finding[]> ReflectAsync(AttackContext context)
    {
        using var field = context.NewField();
        var (server, attacker, victim) = (field.Other(), field.AttackerHost(), field.Victim());
        await server.RendezvousAsync();
        await victim.BindAsync();
        await attacker.BindAsync();
        await victim.AskAsync($"serve {server.Ip} {server.Address.Port} room secret");
        await Task.Delay(500);
        field.CutAttackerFrom(Field.VictimIp);
        var before = field.SentByAttacker();
        var meetings = context.Of(2, 10);
        for (var i = 0; i < meetings; i++)
        {
            var hosts = string.Join(' ', Enumerable.Range(0, 8).Select(k => $"198.18.1.{(i * 8) + k + 1}"));
            await attacker.AskAsync($"visit {server.Ip} {server.Address.Port} room secret 10 {hosts}");
            await Task.Delay(context.Of(1500, 12_000));
        }

        var (drawn, sent) = (field.DrawnToThird(), field.SentByAttacker() - before);
        var packets = drawn / (RawSender.Headers + 56.0) / meetings / 8;
        return
        [
            new($"{meetings} meetings in which the peer names eight hosts of others, {sent:N0} bytes",
                $"{drawn:N0} bytes to the others, x {(double)drawn / sent:F2}; {packets:F1} probes to each",
                "at most 3 x, and 6 probes to each",
                drawn <= 3 * sent && packets <= 6),
        ];
    }

    /// <summary>Peers that enter the room of a service and are never heard of.</summary>
    public static async Task<Finding[]> GarbageAsync(AttackContext context)
    {
        using var field = context.NewField();
        var (server, attacker, victim, honest) = (field.Other(), field.AttackerHost(), field.Victim(), field.Honest());
        await server.RendezvousAsync();
        await victim.BindAsync();
        await honest.BindAsync();
        var (addresses, perAddress) = context.Of((8, 32), (64, 32));
        for (var i = 0; i < addresses; i++)
        {
            await attacker.AskAsync($"bind 198.20.1.{i + 1}");
        }

        field.CutAttackerFrom(Field.VictimIp);
        await victim.AskAsync($"serve {server.Ip} {server.Address.Port} room secret");
        await attacker.AskAsync($"crowd {server.Ip} {server.Address.Port} room secret {addresses * perAddress}");
        await Task.Delay(context.Of(3000, 15_000));
        var limit = TimeSpan.FromSeconds(10);
        var meeting = await Meetings.EnterAsync(server, honest, "room", limit, "secret");
        return
        [
            new($"{addresses * perAddress} peers of {addresses} addresses in the room of a service, which cannot be punched",
                meeting.IsRight ? $"an honest peer has its stream after {meeting.Seconds:F1} s" : $"an honest peer gets none: {meeting.Words}",
                "within 10 s",
                meeting.IsRight && meeting.Seconds <= limit.TotalSeconds),
        ];
    }

    private static async Task<Finding> UnderFloodAsync(
        AttackContext context, Field field, (Host Server, Host A, Host B) hosts, int rate, string done, Forge forge)
    {
        using var sender = field.NewSender();
        using var end = new CancellationTokenSource();
        var before = await hosts.Server.StatusAsync();
        var flood = Task.Factory.StartNew(() => sender.Flood(rate, long.MaxValue, forge, end.Token), TaskCreationOptions.LongRunning);
        await Task.Delay(300);
        var meetings = context.Of(3, 12);
        var (met, longest) = (0, 0.0);
        for (var i = 0; i < meetings; i++)
        {
            var sides = await Meetings.MeetAsync(hosts.Server, hosts.A, hosts.B, $"room{rate}x{i}", s_timeout);
            met += sides.All(side => side.IsRight) ? 1 : 0;
            longest = Math.Max(longest, sides.Max(side => side.Seconds));
        }

        await end.CancelAsync();
        await flood;
        var after = await hosts.Server.StatusAsync();
        var cost = (after.Number("cpu") - before.Number("cpu")) * 1e6 / Math.Max(1, after.Number("in") - before.Number("in"));
        return new(
            $"{done}, {sender.Sent:N0} in all",
            $"{met} of {meetings} honest pairs meet, in at most {longest:F1} s; {cost:F1} us of CPU a datagram",
            "all, within 5 s",
            met == meetings && longest <= s_limit.TotalSeconds);
    }

    private static async Task<(long Datagrams, double Own, double System, double Waiting)> CostOfRoomsAsync(AttackContext context, int members, int rooms)
    {
        const int PerAddress = 2;
        using var field = context.NewField();
        var server = field.Victim();
        await server.RendezvousAsync();
        using var silence = field.Attacker.Bind(new(System.Net.IPAddress.Any, RawPeers.Port));
        using var sender = field.NewSender();
        var cookies = new byte[members][];
        using var reader = field.ReadAttacker((source, _, payload) =>
        {
            // A challenge: magic, kind, handle, attempt, cookie.
            if (source == server.Address && payload.Length > 30 && payload[4] == 0x81)
            {
                var member = BinaryPrimitives.ReadUInt32BigEndian(payload[9..]);
                cookies[member] = payload.Slice(14, 16).ToArray();
            }
        });
        Address From(long member) => Address.Of(Field.OwnIp, RawPeers.Port).Plus((uint)(member / PerAddress));
        Forge forge = (long number, Span<byte> payload, out Address from, out Address to) =>
        {
            var member = number % members;
            (from, to) = (From(member), server.Address);
            return Register(payload, new Random((int)member), (uint)member, cookies[member], (byte)(member % rooms), (byte)(member % rooms >> 8));
        };
        for (var attempt = 0; attempt < 8 && cookies.Any(cookie => cookie is null); attempt++)
        {
            sender.Flood(context.Of(10_000, 4000), members, forge, CancellationToken.None);
            await Task.Delay(200);
        }

        sender.Flood(context.Of(10_000, 4000), members, forge, CancellationToken.None);
        var before = await server.StatusAsync();
        sender.Flood(40_000, context.Of(40_000, 400_000), forge, CancellationToken.None);
        await Task.Delay(100);
        var after = await server.StatusAsync();
        var datagrams = (long)(after.Number("in") - before.Number("in"));
        var own = Cost("user");
        return (datagrams, own, Cost("cpu") - own, after.Number("waiting"));

        double Cost(string name) => (after.Number(name) - before.Number(name)) * 1e6 / Math.Max(1, datagrams);
    }

    private static Forge OneByte(Host server, Host a, Host b) => (long number, Span<byte> payload, out Address from, out Address to) =>
    {
        from = number % 2 == 0 ? a.Address : b.Address;
        to = server.Address;
        payload[0] = (byte)number;
        return 1;
    };

    // Magic, kind, handle, room, peer, cookie, attempt, whether it stays, the length of the offer, and padding.
    private static int Register(Span<byte> payload, Random random, uint? member = null, byte[]? cookie = null, byte room = 0, byte roomHigh = 0)
    {
        const int Length = 128;
        payload[..Length].Clear();
        "UPN1"u8.CopyTo(payload);
        payload[4] = 1;
        BinaryPrimitives.WriteUInt64BigEndian(payload[5..], member is { } number ? (ulong)number : (ulong)random.NextInt64());
        payload.Slice(13, 16).Fill(room);
        payload[13] = roomHigh;
        random.NextBytes(payload.Slice(29, 16));
        if (member is null)
        {
            random.NextBytes(payload.Slice(45, 16));
        }
        else
        {
            cookie?.CopyTo(payload[45..]);
        }

        payload[61] = 1;
        payload[62] = 1;
        return Length;
    }
}
