using System.Diagnostics;
using UtpPunch.Sim;

namespace UtpPunch.Cli.Simulator;

/// <summary>A run that violated a property. The run of an adversary has no scenario.</summary>
internal sealed record FailedRun(int Run, string Property, string Why, Scenario? Scenario);

/// <summary>Totals over many runs.</summary>
internal sealed class Tally
{
    public long Runs { get; private set; }

    public long Events { get; private set; }

    /// <summary>Simulated time in microseconds.</summary>
    public long Simulated { get; private set; }

    public Marks Marks { get; } = new();

    public void Add(Outcome outcome)
    {
        Runs++;
        Events += outcome.Events;
        Simulated += outcome.Took;
        Marks.Add(outcome.Marks);
    }

    /// <summary>The run of an adversary, whose marks are already counted.</summary>
    public void AddAdversary() => Runs++;

    public void Add(Tally other)
    {
        Runs += other.Runs;
        Events += other.Events;
        Simulated += other.Simulated;
        Marks.Add(other.Marks);
    }
}

/// <summary>
/// Runs worlds in parallel, one on each core. Runs are numbered and each depends on its number alone, so the number of cores does not
/// matter: the failure that is reported is the one with the least number.
/// </summary>
internal sealed class Fleet(SimOptions options, CancellationToken cancellationToken)
{
    private readonly Lock _lock = new();
    private readonly Stopwatch _watch = new();
    private FailedRun? _failure;
    private int _next;
    private int _done;
    private long _events;

    public Tally Tally { get; } = new();

    public FailedRun? Failure => _failure;

    public TimeSpan Elapsed => _watch.Elapsed;

    public int Done => Volatile.Read(ref _done);

    public long Events => Volatile.Read(ref _events);

    /// <summary>From 0 to 1.</summary>
    public double Part => Math.Min(1, options.Time is { } time ? Elapsed / time : (double)Done / Math.Max(1, RunsOf(options)));

    /// <summary>The number of runs of this shard.</summary>
    private static int RunsOf(SimOptions options) => (options.Runs!.Value - options.Shard.Index + options.Shard.Count - 1) / options.Shard.Count;

    public Task RunAsync()
    {
        _watch.Start();
        return Task.WhenAll(Enumerable.Range(0, Environment.ProcessorCount).Select(_ => Task.Factory.StartNew(
            Work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
    }

    private void Work()
    {
        var tally = new Tally();
        while (Take() is { } run)
        {
            if (AdversaryCampaign.isAdversarys(run))
            {
                RunAdversary(run, tally);
                continue;
            }

            var scenario = Swarm.scenario(Campaign.seedOf(options.Seed, run));
            var (outcome, violation) = Campaign.check(scenario);
            tally.Add(outcome);
            Interlocked.Increment(ref _done);
            Interlocked.Add(ref _events, outcome.Events);
            if (violation.IsValueSome)
            {
                Fail(new FailedRun(run, violation.Value.Item1, violation.Value.Item2, scenario));
            }
        }

        lock (_lock)
        {
            Tally.Add(tally);
        }
    }

    private void RunAdversary(int run, Tally tally)
    {
        var violation = AdversaryCampaign.checkShare(options.Seed, run, tally.Marks);
        tally.AddAdversary();
        Interlocked.Increment(ref _done);
        if (violation.IsValueSome)
        {
            Fail(new FailedRun(run, violation.Value.Item1, violation.Value.Item2, null));
        }
    }

    private int? Take()
    {
        lock (_lock)
        {
            var run = options.Shard.Index + ((long)_next * options.Shard.Count);
            if (_failure is not null || cancellationToken.IsCancellationRequested || run >= (options.Runs ?? int.MaxValue) || Elapsed >= options.Time)
            {
                return null;
            }

            _next++;
            return (int)run;
        }
    }

    private void Fail(FailedRun failure)
    {
        lock (_lock)
        {
            _failure = _failure is null || failure.Run < _failure.Run ? failure : _failure;
        }
    }
}
