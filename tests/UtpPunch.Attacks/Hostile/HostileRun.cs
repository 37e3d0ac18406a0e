using System.Diagnostics;

namespace UtpPunch.Attacks.Hostile;

/// <summary>
/// Attacks victims of several sizes in memory, without sockets: 100 million datagrams in minutes. The slices for the sizes alternate, so
/// that a busy machine slows all of them alike, and so do the kinds. Every second slice is all kinds together, as many datagrams in a step as
/// a node receives at once. In the others each datagram has a step of its own, so that the sizes can be compared: datagrams to one stream share
/// the step's copy of it.
/// </summary>
internal sealed class HostileRun
{
    /// <summary>The steps of a slice. Short slices are many, and few of them are interrupted; long ones leave more time to the attack.</summary>
    private const int FewSteps = 2;
    private const int ManySteps = 8;
    private const long Many = 10_000_000;

    /// <summary>Slices of each kind before anything is measured, in which the code is compiled.</summary>
    private const int WarmUps = 2;

    private readonly Victim[] _victims;
    private readonly string[] _kinds;
    private readonly List<double>[][] _costs;
    private readonly (long Bytes, long Datagrams)[] _garbage;
    private readonly Draws _draws;
    private int _stepsPerSlice;
    private long _datagrams;
    private string? _exception;

    public HostileRun(Victim[] victims, ulong seed)
    {
        _victims = victims;
        _draws = new Draws(seed);
        _kinds = ["all kinds", "all kinds, one a step", .. victims[0].Kinds.Select(kind => kind.Name)];
        _costs = [.. _kinds.Select(_ => victims.Select(_ => new List<double>()).ToArray())];
        _garbage = new (long, long)[victims.Length];
    }

    /// <param name="count">The number of datagrams, for all victims together.</param>
    /// <param name="victim">What they are, in a word.</param>
    /// <param name="entries">What stands in their tables.</param>
    public HostileReport Run(long count, string victim, string entries)
    {
        var clock = Stopwatch.StartNew();
        _stepsPerSlice = count < Many ? FewSteps : ManySteps;
        var perRound = (long)_victims.Length * _stepsPerSlice * Victim.Batch;
        var rounds = Math.Max(count / perRound, 4);
        foreach (var kind in Enumerable.Repeat(Enumerable.Range(0, _kinds.Length), WarmUps).SelectMany(kinds => kinds))
        {
            TakeSlices(kind, isMeasured: false);
        }

        var before = 0L;
        for (var round = 0; round < rounds && _exception is null; round++)
        {
            if (round == rounds / 4)
            {
                before = GC.GetTotalMemory(forceFullCollection: true);
            }

            TakeSlices(round % 2 == 0 ? 0 : 1 + (round / 2 % (_kinds.Length - 1)), isMeasured: true);
        }

        var after = GC.GetTotalMemory(forceFullCollection: true);
        return new HostileReport
        {
            Victim = victim,
            Entries = entries,
            Datagrams = _datagrams,
            Sizes = [.. _victims.Select(it => it.Size)],
            Costs = [.. _kinds.Zip(_costs, (kind, costs) => new KindCost(kind, [.. costs.Select(Median)]))],
            Garbage = [.. _garbage.Select(sum => sum.Bytes / (double)Math.Max(1, sum.Datagrams))],
            HeapBefore = before / 1e6,
            HeapAfter = after / 1e6,
            FullTables = _victims.Sum(it => it.FullTables),
            Survivors = [.. _victims.Select(it => it.Check())],
            Seconds = clock.Elapsed.TotalSeconds,
            Exception = _exception,
        };
    }

    // One slice for each victim.
    private void TakeSlices(int kind, bool isMeasured)
    {
        for (var index = 0; index < _victims.Length; index++)
        {
            var victim = _victims[index];
            var (steps, batch) = kind == 0 ? (_stepsPerSlice, Victim.Batch) : (_stepsPerSlice * Victim.Batch, 1);
            var (ticks, bytes) = (0L, 0L);
            for (var step = 0; step < steps && _exception is null; step++)
            {
                var one = kind < 2 ? null : victim.Kinds[kind - 2];
                victim.Load(batch, () => one ?? _draws.Of(victim.Kinds));
                var (elapsed, allocated) = Take(victim, _kinds[kind]);
                (ticks, bytes) = (ticks + elapsed, bytes + allocated);
            }

            victim.Settle();
            if (isMeasured)
            {
                _costs[kind][index].Add(Microseconds(ticks) / (steps * batch));
                _datagrams += steps * batch;
                if (kind == 0)
                {
                    _garbage[index] = (_garbage[index].Bytes + bytes, _garbage[index].Datagrams + ((long)steps * batch));
                }
            }
        }
    }

    private (long Ticks, long Bytes) Take(Victim victim, string kind)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var started = Stopwatch.GetTimestamp();
        try
        {
            victim.Step();
        }
        catch (Exception error)
        {
            _exception = $"{kind}, {victim.Size}: {error}".ReplaceLineEndings(" ");
            return (0, 0);
        }

        var elapsed = Stopwatch.GetTimestamp() - started;
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        victim.Perform();
        return (elapsed, allocated);
    }

    private static double Median(List<double> values) => values.Count == 0 ? double.NaN : values.Order().ElementAt(values.Count / 2);

    private static double Microseconds(long ticks) => ticks * 1e6 / Stopwatch.Frequency;
}
