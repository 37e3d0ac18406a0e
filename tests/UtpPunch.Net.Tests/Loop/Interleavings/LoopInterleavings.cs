using System.Collections.Concurrent;

namespace UtpPunch.Tests.Interleavings;

/// <summary>
/// All interleavings of what threads do at the same time with a node's loop: <see cref="NodeLoop{TPlatform, TWork}"/> and
/// <see cref="LoopOwnership{TPlatform}"/> as they ship, over a memory in which each of their operations is a step.
/// </summary>
public static class LoopInterleavings
{
    [Fact("in all interleavings one thread at a time steps and receives, no wake-up is lost, and no thread hangs", Timeout = 120)]
    public static void Product()
    {
        var found = new ConcurrentBag<Exploration>();
        Parallel.ForEach(Scenario.All, scenario => found.Add(Explorer.Explore(scenario, Mutation.None)));
        Check.Equal("", string.Join('\n', found.Select(one => one.Violation).OfType<string>()));
        var states = found.Sum(one => one.States);
        Check.That(states > 100_000, $"{states} states");
    }

    [Fact("each lost wake-up of the past is found when it is put back", Timeout = 120)]
    public static void Historical() => Kill(Mutation.Historical);

    [Fact("each flag, wake and compare-and-swap of the loop is missed when it is left out", Timeout = 120)]
    public static void Systematic() => Kill(Mutation.Systematic);

    // Small scenarios first: nearly all mutations fail in one of them.
    private static void Kill(IEnumerable<Mutation> mutations)
    {
        var survivors = new ConcurrentBag<string>();
        Parallel.ForEach(mutations, mutation =>
        {
            var wrong = Scenario.All.OrderBy(scenario => scenario.Threads.Count).Select(scenario => Explorer.Explore(scenario, mutation).Violation).FirstOrDefault(violation => violation is not null);
            if (wrong is null)
            {
                survivors.Add(mutation.Name);
            }
        });
        Check.Equal("", string.Join('\n', survivors));
    }
}
