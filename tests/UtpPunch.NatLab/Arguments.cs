using System.Globalization;
using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab;

/// <summary>The command line is invalid, or this machine lacks something. The message is one line.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>The command line, parsed.</summary>
internal sealed record Arguments
{
    public const string Usage = """
        natlab [OPTIONS]         run a punching tool behind all pairs of ten kinds of kernel NAT; needs root
          --tool NAME            utp (default), reflexive (reference, in this process), npm (utp-punch's own punch),
                                 offers (samples/OwnSignalling, without a rendezvous),
                                 torrents (samples/HolePunch and libtorrent, which another libtorrent introduces: BEP 55)
          --utp PATH             utp.dll, or a program with the same commands `rendezvous` and `punch`
          --birthday             utp: allow birthday probing
          --mapped               utp: A's NAT has miniupnpd, and A asks it to map its port
          --ipv6 SERVERS         utp: the hosts have IPv6 as well, behind firewalls that admit answers only; the servers of the
                                 rendezvous have IPv4 (`v4`) or IPv6 (`v6`), or there is one of each (`both`)
          --carrier TYPE         utp: each home's NAT is behind a carrier's NAT of this type
          --nat64 SERVER         utp: A has IPv6 only, and its NAT is a NAT64; A is told the rendezvous, which has IPv4 only, by its
                                 address (`address`) or its name (`name`)
          --timeout SECONDS      utp: time for the peer to come (default 15, with --birthday 60)
          --log FOLDER           utp: write the output of the peers to this folder, a file each
          --mode MODE            only this delay of B in ms: simultaneous, 60 or 1000 (default: all)
          --pairs N              only N pairs, spread over the matrix
          --pair A,B             only this pair; may be repeated
          --primed N             reflexive: number of first probes with a low TTL (default 5)
          --labs N               pairs in parallel (default 8)
        natlab verify            measure the ten NATs and compare them with the table
        """;

    public string Tool { get; private init; } = "utp";

    public string Program { get; private init; } = Repository.Tool;

    public bool Birthday { get; private init; }

    public bool Mapped { get; private init; }

    /// <summary>The families of the rendezvous servers, if the hosts have IPv6.</summary>
    public string? IPv6 { get; private init; }

    /// <summary>The type of the carriers' NATs, if there are carriers.</summary>
    public int? Carrier { get; private init; }

    /// <summary>How A is told the rendezvous, if its NAT is a NAT64.</summary>
    public string? Nat64 { get; private init; }

    public int? TimeoutSeconds { get; private init; }

    public string? Log { get; private init; }

    public int Primed { get; private init; } = 5;

    public int Labs { get; private init; } = 8;

    /// <summary>The delays of B in milliseconds: one matrix for each.</summary>
    public int[] Modes { get; private init; } = [0, 60, 1000];

    public IReadOnlyList<(int A, int B)> Pairs { get; private init; } = [];

    public static Arguments Parse(ReadOnlySpan<string> words)
    {
        var parsed = new Arguments();
        for (; words is [var option, ..]; words = words[1..])
        {
            if (option == "--birthday")
            {
                parsed = parsed with { Birthday = true };
                continue;
            }

            if (option == "--mapped")
            {
                parsed = parsed with
                {
                    Mapped = MappingDaemon.Program is not null ? true : throw new UsageException("--mapped needs miniupnpd"),
                };
                continue;
            }

            words = words[1..];
            var value = words is [var next, ..] ? next : throw new UsageException($"'{option}' is not an option, or its value is missing\n{Usage}");
            parsed = option switch
            {
                "--tool" when value is "utp" or "reflexive" or "npm" or "offers" or "torrents" => parsed with { Tool = value },
                "--utp" => parsed with { Program = File.Exists(value) ? Path.GetFullPath(value) : value },
                "--ipv6" when value is "v4" or "v6" or "both" => parsed with { IPv6 = value },
                "--nat64" when value is "address" or "name" => parsed with { Nat64 = value },
                "--carrier" => parsed with { Carrier = Number(value, NatType.All.Count - 1) },
                "--timeout" => parsed with { TimeoutSeconds = Number(value, 3600) },
                "--log" => parsed with { Log = Directory.CreateDirectory(value).FullName },
                "--mode" when value == "simultaneous" => parsed with { Modes = [0] },
                "--mode" when value is "60" or "1000" => parsed with { Modes = [Number(value, 1000)] },
                "--pairs" => parsed with { Pairs = [.. Matrix.Pairs(Number(value, NatType.All.Count * NatType.All.Count))] },
                "--pair" => parsed with { Pairs = [.. parsed.Pairs, Pair(value)] },
                "--primed" => parsed with { Primed = Number(value, 1000) },
                "--labs" => parsed with { Labs = Math.Max(1, Number(value, 100)) },
                _ => throw new UsageException($"'{option} {value}' is not valid\n{Usage}"),
            };
        }

        if (parsed.Carrier is not null && (parsed.IPv6 is not null || parsed.Mapped))
        {
            throw new UsageException("--carrier is for IPv4 without mapped ports");
        }

        if (parsed.Nat64 is not null && (parsed.Carrier is not null || parsed.IPv6 is not null || parsed.Mapped || parsed.Tool != "utp"))
        {
            throw new UsageException("--nat64 is for the tool utp, with neither --carrier, --ipv6 nor --mapped");
        }

        if (parsed.Nat64 is not null && Network.Nat64.Missing.Any())
        {
            throw new UsageException($"--nat64 needs {string.Join(" and ", Network.Nat64.Missing)}");
        }

        return parsed.Pairs.Count > 0 ? parsed : parsed with { Pairs = [.. Matrix.Pairs(int.MaxValue)] };
    }

    private static (int A, int B) Pair(string value) =>
        value.Split(',') is [var a, var b]
            ? (Number(a, NatType.All.Count - 1), Number(b, NatType.All.Count - 1))
            : throw new UsageException($"'{value}' is not a pair of NATs, such as 3,6");

    private static int Number(string value, int most) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= most
            ? number
            : throw new UsageException($"'{value}' is not a number from 0 to {most}");
}
