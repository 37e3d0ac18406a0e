using System.Diagnostics;
using System.Runtime.CompilerServices;
using UtpPunch.Cli.Bench;
using UtpPunch.Protocol;
using UtpPunch.Sim;

namespace UtpPunch.Bench;

/// <summary>One room with many members, and one node that is met by many peers: nodes and a server in memory, in simulated time; the steps are timed.</summary>
internal static class RoomPart
{
    public const string Name = "room";
    private const int Rate = 200;
    private const int Seconds = 30;
    private const int Most = 10_000;
    private const long Second = 1_000_000;

    private static readonly int[] s_sizes = [10, 1000, Most];

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        var share = Math.Min(1, settings.Time.TotalSeconds / BenchSettings.UsualSeconds);
        yield return new BenchGroup(
            Name,
            $"a room in which nodes stay, and {Rate} visitors a second enter: the server's work",
            [
                new("us/renewal", MoreIsBetter: false),
                new("us/join", MoreIsBetter: false),
                new("joins/s of a core", MoreIsBetter: true) { HasRatio = false },
                new("met", MoreIsBetter: true) { HasRatio = false },
                new("refused", MoreIsBetter: false) { HasRatio = false },
                new("B a member", MoreIsBetter: false) { HasRatio = false },
            ],
            [.. s_sizes.Select(size => new BenchCase($"{size:N0} members", _ => Task.FromResult(Members(size, share))))])
        {
            Notes = ["A join has the visitor's datagrams, the pings to members and their answers. Refused: of one more node that would stay."],
        };
        yield return new BenchGroup(
            Name,
            $"one node that stays, and {Rate} visitors a second, each with a stream for 5 s: its work",
            [
                new("us/visitor", MoreIsBetter: false),
                new("% of a core", MoreIsBetter: false),
                new("met", MoreIsBetter: true) { HasRatio = false },
                new("punches kept", MoreIsBetter: false) { HasRatio = false },
            ],
            [.. s_sizes.Select(size => new BenchCase($"{size:N0} visitors", _ => Task.FromResult(Visitors(size))))]);
    }

    private static RendezvousOptions Options(int mostPerRoom)
    {
        var standard = RendezvousModule.standard;
        return new RendezvousOptions(
            standard.Sockets, standard.MaxRegistrations, standard.MaxPerSource, mostPerRoom, standard.RatePerSource, standard.Lifetime, false, false);
    }

    private static double[] Members(int size, double share)
    {
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var server = RunMembers(size, share, out var row);
        var after = GC.GetTotalMemory(forceFullCollection: true);
        GC.KeepAlive(server);
        return [.. row, (double)(after - before) / size];
    }

    // Returns the server as it was before the visitors came: what it keeps of the members. The nodes are gone with this method.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Rendezvous RunMembers(int size, double share, out double[] row)
    {
        var meter = new Meter();
        var crowd = new Crowd(Options(size), 1, meter);
        crowd.EnterAll(size, Math.Max(Rate, size / 10), stays: true);
        crowd.RunUntil(crowd.Now + (2 * Second));
        if (crowd.Statistics.Waiting != size)
        {
            throw new InvalidOperationException($"{crowd.Statistics.Waiting} of {size} nodes stay in the room.");
        }

        crowd.Enter(stays: true);
        crowd.RunUntil(crowd.Now + Second);
        meter.Clear();
        crowd.RunUntil(crowd.Now + (Seconds * Second));
        var renewals = meter.Of(CrowdRole.Server);
        var server = crowd.Server;
        meter.Clear();
        var visitors = (int)(Rate * Seconds * share);
        crowd.EnterAll(visitors, Rate, stays: false);
        crowd.RunUntil(crowd.Now + (5 * Second));

        // Renewals go on meanwhile.
        var meanwhile = renewals.Microseconds * (((double)visitors / Rate) + 5) / Seconds;
        var perJoin = Math.Max(0.001, meter.Of(CrowdRole.Server).Microseconds - meanwhile) / visitors;
        row =
        [
            renewals.Microseconds / Math.Max(1, renewals.Datagrams),
            perJoin,
            1e6 / perJoin,
            crowd.Count(UtpPunch.Protocol.PunchStage.Open),
            crowd.Count(UtpPunch.Protocol.PunchStage.RoomFull),
        ];
        return server;
    }

    private static double[] Visitors(int size)
    {
        var meter = new Meter();
        var crowd = new Crowd(Options(Most), 2, meter);
        var service = crowd.Enter(stays: true);
        crowd.RunUntil(Second);
        meter.Clear();
        var kept = 0;
        for (var left = size; left > 0; left -= Rate)
        {
            crowd.EnterAll(Math.Min(Rate, left), Rate, stays: false);
            kept = Math.Max(kept, PunchTableModule.count(crowd.Node(service).NodeTasks.Punches));
        }

        crowd.RunUntil(crowd.Now + (5 * Second));
        var work = meter.Of(CrowdRole.Staying).Microseconds;
        return [work / size, work / (crowd.Now - Second) * 100, crowd.Opened, kept];
    }

    private sealed class Meter : ICrowdMeter
    {
        private readonly Dictionary<CrowdRole, (long Ticks, long Datagrams)> _sums = [];
        private long _begun;

        public void Begin() => _begun = Stopwatch.GetTimestamp();

        public void End(CrowdRole role, int datagrams)
        {
            var ticks = Stopwatch.GetTimestamp() - _begun;
            var (sum, count) = _sums.GetValueOrDefault(role);
            _sums[role] = (sum + ticks, count + datagrams);
        }

        public void Clear() => _sums.Clear();

        public (double Microseconds, long Datagrams) Of(CrowdRole role)
        {
            var (ticks, datagrams) = _sums.GetValueOrDefault(role);
            return (Stopwatch.GetElapsedTime(0, ticks).TotalMicroseconds, datagrams);
        }
    }
}
