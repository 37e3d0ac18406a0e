using UtpPunch.NatLab.Network;
using UtpPunch.NatLab.Tools;

namespace UtpPunch.NatLab;

/// <summary>The result of one pair of NATs.</summary>
internal sealed record Cell(int A, int B, bool IsExpected, Outcome OfA, Outcome OfB)
{
    /// <summary>Whether both sides report success.</summary>
    public bool Succeeded => OfA.Succeeded && OfB.Succeeded;

    /// <summary>Whether only one side reports success.</summary>
    public bool IsOneSided => OfA.Succeeded != OfB.Succeeded;

    /// <summary>Whether the test itself failed, so that it says nothing about these NATs.</summary>
    public bool IsTrouble => OfA.Verdict == Verdict.Trouble || OfB.Verdict == Verdict.Trouble;

    /// <summary>Whether the result is not as expected.</summary>
    public bool IsWrong => IsTrouble || (IsExpected && !Succeeded);

    /// <summary>`!` did not connect and must, `?` the test failed, `+` connects and need not.</summary>
    public char Letter => (IsTrouble, IsExpected, Succeeded) switch
    {
        (false, true, true) => 'Y',
        (_, true, _) => '!',
        (true, false, _) => '?',
        (false, false, true) => '+',
        (false, false, false) => '.',
    };
}

/// <summary>Runs one tool behind pairs of NATs, several labs in parallel: most of the time is waiting.</summary>
internal sealed class Matrix(World world, ITool tool, int labs, bool mapsA = false, bool hasIPv6 = false, int? carrier = null, bool hasNat64 = false)
{
    private int _done;

    /// <summary>All pairs, or the first <paramref name="count"/> of an order that is spread over rows and columns.</summary>
    public static IEnumerable<(int A, int B)> Pairs(int count)
    {
        var types = NatType.All.Count;
        for (var i = 0; i < Math.Min(count, types * types); i++)
        {
            yield return (i % types, (3 * (i % types) + 7 * (i / types) + 8) % types);
        }
    }

    /// <summary>Runs these pairs, with B later than A.</summary>
    public async Task<Cell[]> RunAsync(IReadOnlyList<(int A, int B)> pairs, TimeSpan late, CancellationToken cancellationToken)
    {
        var cells = new Cell[pairs.Count];
        var options = new ParallelOptions { MaxDegreeOfParallelism = labs, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, pairs.Count, options, async (i, token) =>
        {
            cells[i] = await RunAsync(pairs[i].A, pairs[i].B, late, token);
            Progress(pairs.Count);
        });
        return cells;
    }

    private async Task<Cell> RunAsync(int a, int b, TimeSpan late, CancellationToken cancellationToken)
    {
        using var lab = new Lab(world, a, b, mapsA, hasIPv6, carrier, hasNat64);
        var room = $"{a}x{b}-{late.TotalMilliseconds:F0}ms";
        var (ofA, ofB) = await tool.PunchAsync(lab, room, late, cancellationToken);
        return new Cell(a, b, tool.Expects(a, b, late), ofA, ofB);
    }

    private void Progress(int count)
    {
        var done = Interlocked.Increment(ref _done);
        if (!Console.IsErrorRedirected)
        {
            Console.Error.Write($"\r{done} of {count} pairs{(done == count ? "\r                    \r" : "")}");
        }

        Interlocked.CompareExchange(ref _done, 0, count);
    }
}
