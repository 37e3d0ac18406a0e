using System.Collections.Concurrent;

namespace UtpPunch.Tests.Interleavings;

/// <summary>
/// All interleavings of concurrent threads in a node's loop: <see cref="NodeLoop{TPlatform, TWork}"/> and
/// <see cref="LoopOwnership{TPlatform}"/> as they ship, over a memory in which each of their operations is a step.
/// </summary>
public static class LoopInterleavings
{
    // There is no socket in a model: the other run would do the same once more.
    private const string OneTransport = TransportUnderTest.Linux;

    private const int FewStates = 5_000;

    [Fact("in all interleavings one thread at a time steps and receives, no wake-up is lost, and no thread hangs", Timeout = 120, Over = OneTransport)]
    public static void Product()
    {
        var found = new ConcurrentBag<Exploration>();
        Parallel.ForEach(Scenario.All, scenario => found.Add(Explorer.Explore(scenario, Mutation.None)));
        Check.Equal("", string.Join('\n', found.Select(one => one.Violation).OfType<string>()));
        var states = found.Sum(one => one.States);
        Check.That(states > 100_000, $"{states} states");
    }

    [Fact("each lost wake-up of earlier versions is found when it is reintroduced", Timeout = 120, Over = OneTransport)]
    public static void Historical() => Kill(Mutation.Historical);

    [Fact("each flag, wake and compare-and-swap of the loop is needed: without it a scenario fails", Timeout = 120, Over = OneTransport)]
    public static void Systematic() => Kill(Mutation.Systematic);

    // Nearly all mutations fail within a few states of some scenario: those are explored before any scenario is enumerated completely.
    private static void Kill(IEnumerable<Mutation> mutations)
    {
        var survivors = new ConcurrentBag<string>();
        Parallel.ForEach(mutations, mutation =>
        {
            if (!IsKilled(mutation, FewStates) && !IsKilled(mutation, int.MaxValue))
            {
                survivors.Add(mutation.Name);
            }
        });
        Check.Equal("", string.Join('\n', survivors));
    }

    private static bool IsKilled(Mutation mutation, int states) =>
        Scenario.All.Any(scenario => Explorer.Explore(scenario, mutation, states).Violation is not null);
}
