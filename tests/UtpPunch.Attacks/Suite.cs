using System.Diagnostics;
using System.Text;
using UtpPunch.Attacks.Attacks;

namespace UtpPunch.Attacks;

/// <summary>All attacks, and how they are run and reported.</summary>
internal static class Suite
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(10);

    public static IReadOnlyList<Attack> All { get; } =
    [
        new("a1-open", "open a stream blind", OpenBlind.ListenerAsync) { IsMeasured = true },
        new("a1-meeting", "open a stream in the place of a meeting's peer", OpenBlind.MeetingAsync),
        new("a2-acknowledge", "draw bytes by acknowledging blindly", OpenBlind.AcknowledgeAsync),
        new("a4-forge", "keep the owners of forged addresses from a rendezvous", Rendezvous.ForgeAsync),
        new("a5-room", "make a rendezvous slow with a crowded room", Rendezvous.CrowdAsync) { IsMeasured = true },
        new("a7-reflect", "send probes to others by naming them", Rendezvous.ReflectAsync),
        new("a8-garbage", "fill the punches of a service", Rendezvous.GarbageAsync),
        new("a9-places", "take all places of a node", Places.TakeAllAsync),
        new("a9-syn", "keep honest hosts out by SYNs", Places.SynFloodAsync) { IsMeasured = true },
        new("a9-throughput", "slow a transfer down by SYNs", Places.ThroughputAsync) { IsMeasured = true },
        new("a10-icmp", "make ICMP messages expensive", Streams.IcmpAsync) { IsMeasured = true },
        new("a11-linger", "keep a disposed stream", Streams.LingerAsync),
        new("a12-blind", "reset or change a stream blind", Injection.BlindAsync),
        new("a12-numbers", "reset or change a stream of which the numbers are known", Injection.NumbersAsync),
        new("a13-oracle", "learn an id from RESETs", Injection.OracleAsync),
        new("a14-memory", "use up memory", Streams.MemoryAsync) { IsMeasured = true },
        new("hostile-node", "make a node fail, or slow, by datagrams of any kind", HostileDatagrams.NodeAsync) { IsMeasured = true },
        new("hostile-rendezvous", "the same to a rendezvous server", HostileDatagrams.RendezvousAsync) { IsMeasured = true },
        new("hostile-socket", "make a node fail, or slow, over its socket", HostileDatagrams.SocketAsync) { IsMeasured = true },
        new("flood-rendezvous", "keep honest peers apart by registrations", Rendezvous.FloodAsync) { IsMeasured = true },
    ];

    public static async Task<int> RunAsync(Arguments arguments)
    {
        if (arguments.IsList)
        {
            foreach (var attack in All)
            {
                Console.WriteLine($"{attack.Name,-18} {attack.Title}");
            }

            return 0;
        }

        Machine.Check();
        var context = new AttackContext(arguments.IsQuick, Library.Program(arguments.Library));
        var chosen = All.Where(attack => arguments.Names.Count == 0
            || arguments.Names.Any(name => attack.Name.StartsWith(name, StringComparison.Ordinal))).ToList();
        var text = new StringBuilder("| attack | done | reached | bound | |\n|---|---|---|---|---|\n");
        var broken = 0;
        await foreach (var (attack, findings) in RunAllAsync(chosen, context))
        {
            foreach (var finding in findings)
            {
                broken += finding.IsKept ? 0 : 1;
                var verdict = finding.IsKept ? "ok" : "failed";
                Console.WriteLine($"{attack.Name}: {finding.Done}\n    {finding.Reached}\n    {verdict}; bound: {finding.Bound}");
                text.AppendLine($"| {attack.Name} | {finding.Done} | {finding.Reached} | {finding.Bound} | {verdict} |");
            }
        }

        Console.WriteLine($"{broken} bounds are not kept");
        if (arguments.Markdown is { } file)
        {
            await File.WriteAllTextAsync(file, text.ToString());
        }

        return broken == 0 ? 0 : 1;
    }

    // First those of which nothing is measured, beside each other.
    private static async IAsyncEnumerable<(Attack, Finding[])> RunAllAsync(IReadOnlyCollection<Attack> chosen, AttackContext context)
    {
        using var places = new SemaphoreSlim(5);
        var others = chosen.Where(attack => !attack.IsMeasured).Select(async attack =>
        {
            await places.WaitAsync();
            try
            {
                return (attack, await CarryOutAsync(attack, context));
            }
            finally
            {
                places.Release();
            }
        });
        foreach (var result in await Task.WhenAll(others))
        {
            yield return result;
        }

        foreach (var attack in chosen.Where(attack => attack.IsMeasured))
        {
            yield return (attack, await CarryOutAsync(attack, context));
        }
    }

    // An attack that cannot be carried out proves nothing.
    private static async Task<Finding[]> CarryOutAsync(Attack attack, AttackContext context)
    {
        var clock = Stopwatch.StartNew();
        try
        {
            var findings = await Task.Run(() => attack.RunAsync(context)).WaitAsync(s_limit);
            Console.Error.WriteLine($"{attack.Name} took {clock.Elapsed.TotalSeconds:F1} s");
            return findings;
        }
        catch (Exception e) when (e is IOException or TimeoutException or System.Net.Sockets.SocketException)
        {
            return [new(attack.Title, $"not carried out: {e.Message}", "", false)];
        }
    }
}
