namespace UtpPunch.Attacks.Hostile;

/// <summary>What a kind of datagrams costs at each size of the table.</summary>
/// <param name="Name">The kind.</param>
/// <param name="Medians">Microseconds a datagram, the median of all slices, for each size.</param>
internal sealed record KindCost(string Name, double[] Medians)
{
    /// <summary>The cost in the largest table, as a multiple of that in the table before.</summary>
    public double Growth => Medians[^1] / Medians[^2];
}

/// <summary>What a run has measured.</summary>
internal sealed record HostileReport
{
    /// <summary>The most that a datagram may cost, in microseconds.</summary>
    private const double MaxCost = 10;

    /// <summary>
    /// How much more all kinds together may cost in the largest table than in the smallest, and each kind than in the table that has a sixteenth of
    /// the entries. A search goes one or two levels deeper, and what it visits is in the processor's caches less often; the smallest table is in
    /// the first one altogether, and its few addresses meet limits. Costs below <see cref="Little"/> are not compared.
    /// </summary>
    private const double MaxGrowth = 3;
    private const double Little = 2;

    /// <summary>
    /// What the managed heap may grow by, from a quarter of the run on, in MB; unless it is no more than what full tables take (<see cref="Victim.FullTables"/>).
    /// </summary>
    private const double MaxHeapGrowth = 32;

    public required string Victim { get; init; }

    public required string Entries { get; init; }

    public required long Datagrams { get; init; }

    public required int[] Sizes { get; init; }

    /// <summary>The first is all kinds together.</summary>
    public required IReadOnlyList<KindCost> Costs { get; init; }

    /// <summary>Bytes that the steps of all kinds together allocate for a datagram, for each size.</summary>
    public required double[] Garbage { get; init; }

    public required Survivors[] Survivors { get; init; }

    public required double HeapBefore { get; init; }

    public required double HeapAfter { get; init; }

    public required double FullTables { get; init; }

    public required double Seconds { get; init; }

    /// <summary>The exception that a step has thrown, and what it was taking in; null if there was none.</summary>
    public string? Exception { get; init; }

    public Finding[] Findings()
    {
        var (all, slowest, worst) = (Costs[0], Costs.MaxBy(cost => cost.Medians.Max())!, Costs.MaxBy(cost => cost.Growth)!);
        var isWhole = Survivors.Zip(Sizes).All(pair => pair.First.Live == pair.Second && pair.First.Answered == pair.First.Exchanges && pair.First.Wrong == 0);
        return
        [
            new(
                $"{Datagrams:N0} hostile datagrams to a {Victim} with {Names(Sizes)} {Entries}",
                Exception ?? "no exception",
                "none",
                Exception is null),
            new(
                "all kinds of them in any order",
                $"{Row(all.Medians)} us each, x {all.Medians[^1] / all.Medians[0]:F1}; {Names(Garbage.Select(bytes => (int)bytes))} bytes allocated",
                $"{MaxCost} us; x {MaxGrowth} from {Sizes[0]} {Entries} to {Sizes[^1]}",
                all.Medians.Max() <= MaxCost && all.Medians[^1] <= Math.Max(Little, MaxGrowth * all.Medians[0])),
            new(
                $"each of {Costs.Count - 2} kinds",
                $"{slowest.Name}: {Row(slowest.Medians)} us; {worst.Name}: {Row(worst.Medians)} us",
                $"{MaxCost} us; x {MaxGrowth} from {Sizes[^2]} {Entries} to {Sizes[^1]}, unless below {Little} us",
                Costs.All(cost => cost.Medians.Max() <= MaxCost && cost.Medians[^1] <= Math.Max(Little, MaxGrowth * cost.Medians[^2]))),
            new(
                $"{Entries} afterwards, and {Names(Survivors.Select(it => it.Exchanges))} honest exchanges",
                $"{Names(Survivors.Select(it => it.Live))} are there, {Names(Survivors.Select(it => it.Answered))} succeed, {Survivors.Sum(it => it.Wrong)} wrong",
                "all, none wrong",
                isWhole),
            new(
                "managed heap after a quarter of the datagrams, and at the end",
                $"{HeapBefore:F1} and {HeapAfter:F1} MB",
                $"grows by at most {MaxHeapGrowth} MB{(FullTables > 0 ? $", or to {FullTables} MB, which full tables take" : "")}",
                HeapAfter - HeapBefore <= MaxHeapGrowth || HeapAfter <= FullTables),
        ];
    }

    public IEnumerable<string> Table()
    {
        yield return $"| us a datagram, median | {string.Join(" | ", Sizes.Select(size => $"{size:N0}"))} | {Sizes[^1]:N0} / {Sizes[^2]:N0} |";
        yield return $"|---|{string.Concat(Sizes.Select(_ => "---|"))}---|";
        foreach (var cost in Costs)
        {
            yield return $"| {cost.Name} | {string.Join(" | ", cost.Medians.Select(median => $"{median:F2}"))} | {cost.Growth:F1} |";
        }

        yield return $"| bytes allocated | {string.Join(" | ", Garbage.Select(bytes => $"{bytes:N0}"))} | {Garbage[^1] / Garbage[^2]:F1} |";
    }

    private static string Row(double[] numbers) => string.Join(", ", numbers.Select(number => $"{number:F2}"));

    private static string Names(IEnumerable<int> numbers) => string.Join(", ", numbers.Select(number => $"{number}"));
}
