using System.Globalization;
using System.Text.Json;

namespace UtpPunch.Attacks.Hostile;

/// <summary>The command line of a run: `hostile node|rendezvous`.</summary>
internal static class HostileProgram
{
    public const string Usage = """
        attack hostile VICTIM [OPTIONS]   hostile datagrams to a node or a rendezvous server in memory; needs neither Linux nor root
          VICTIM                          node or rendezvous
          --datagrams N                   how many, for all sizes of the table together; default: 1000000
          --seed N                        of everything that is random; default: 1
          --json                          write the findings only, for a program
        """;

    private static readonly int[] s_sizes = [10, 1000, 16_000];

    public static int Run(string[] arguments)
    {
        var (datagrams, seed, isJson) = (1_000_000L, 1UL, false);
        var words = new Queue<string>(arguments);
        var victim = words.TryDequeue(out var name) ? name : "";
        while (words.TryDequeue(out var word))
        {
            switch (word)
            {
                case "--datagrams" when words.TryDequeue(out var value) && long.TryParse(value, CultureInfo.InvariantCulture, out datagrams):
                case "--seed" when words.TryDequeue(out value) && ulong.TryParse(value, CultureInfo.InvariantCulture, out seed):
                    break;
                case "--json":
                    isJson = true;
                    break;
                default:
                    throw new UsageException($"'{word}' is not an option, or its value is missing\n{Usage}");
            }
        }

        var report = victim switch
        {
            "node" => new HostileRun([.. s_sizes.Select(size => new NodeVictim(size, seed))], seed).Run(datagrams, victim, "streams"),
            "rendezvous" => new HostileRun([.. s_sizes.Select(size => new RendezvousVictim(size, seed))], seed).Run(datagrams, victim, "members"),
            _ => throw new UsageException($"'{victim}' is neither 'node' nor 'rendezvous'\n{Usage}"),
        };
        return isJson ? WriteJson(report.Findings()) : Write(report);
    }

    private static int Write(HostileReport report)
    {
        foreach (var line in report.Table())
        {
            Console.WriteLine(line);
        }

        Console.WriteLine();
        var findings = report.Findings();
        foreach (var finding in findings)
        {
            Console.WriteLine($"{finding.Done}\n    {finding.Reached}\n    {(finding.IsKept ? "ok" : "failed")}; bound: {finding.Bound}");
        }

        Console.WriteLine($"{report.Seconds:F0} s");
        return findings.All(finding => finding.IsKept) ? 0 : 1;
    }

    private static int WriteJson(Finding[] findings)
    {
        Console.WriteLine(JsonSerializer.Serialize(findings));
        return 0;
    }
}
