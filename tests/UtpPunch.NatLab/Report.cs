using System.Text;
using UtpPunch.NatLab.Network;
using UtpPunch.NatLab.Tools;

namespace UtpPunch.NatLab;

/// <summary>A matrix as text: the results beside the expected ones, the times, and the failures with their reasons.</summary>
internal static class Report
{
    public static string Of(string title, IReadOnlyCollection<Cell> cells)
    {
        var text = new StringBuilder();
        var types = NatType.All;
        var columns = string.Join(' ', Enumerable.Range(0, types.Count));
        text.AppendLine($"{title}\n{"rows A, columns B",-28}measured               expected");
        text.AppendLine($"{"",-28}{columns}    {columns}");
        for (var a = 0; a < types.Count; a++)
        {
            var row = cells.Where(cell => cell.A == a).ToDictionary(cell => cell.B);
            var measured = Row(row, cell => cell.Letter);
            var expected = Row(row, cell => cell.IsExpected ? 'Y' : '.');
            text.AppendLine($"{a} {types[a].Name,-26}{measured}    {expected}".TrimEnd());
        }

        text.AppendLine(
            $"{cells.Count(cell => cell.Succeeded)} of {cells.Count} pairs connect, {cells.Count(cell => cell.IsExpected)} expected: "
            + $"{cells.Count(cell => cell.Letter == '!')} missing (!), {cells.Count(cell => cell.Letter == '+')} better (+), "
            + $"{cells.Count(cell => cell.Letter == '?')} went wrong (?)");
        text.AppendLine(Times(cells));
        text.Append(Paths(cells));
        foreach (var cell in cells.Where(cell => cell.IsWrong || cell.IsOneSided))
        {
            text.AppendLine($"{cell.Letter} {cell.A} and {cell.B}: A {Words(cell.OfA)}; B {Words(cell.OfB)}");
        }

        return text.ToString();
    }

    private static string Row(Dictionary<int, Cell> row, Func<Cell, char> letter) =>
        string.Join(' ', Enumerable.Range(0, NatType.All.Count).Select(b => row.TryGetValue(b, out var cell) ? letter(cell) : ' '));

    // Of the slower side of every pair that connects.
    private static string Times(IEnumerable<Cell> cells)
    {
        var times = cells
            .Where(cell => cell.Succeeded)
            .Select(cell => Math.Max(cell.OfA.Elapsed.TotalMilliseconds, cell.OfB.Elapsed.TotalMilliseconds))
            .Order()
            .ToArray();
        return times.Length == 0
            ? "no times"
            : $"time to connect: half within {Share(times, 50)} ms, nine of ten within {Share(times, 90)} ms, "
              + $"all within {Share(times, 100)} ms";
    }

    private static string Share(double[] times, int percent) => $"{times[(times.Length * percent + 99) / 100 - 1]:F0}";

    // By kind of candidate, for a tool that reports it.
    private static string Paths(IEnumerable<Cell> cells)
    {
        var paths =
            from cell in cells
            where cell.Succeeded && cell.OfA.Words != ""
            group cell by cell.OfA.Words into kind
            orderby kind.Count() descending
            select $"{kind.Key} {kind.Count()}";
        var list = string.Join(", ", paths);
        return list == "" ? "" : $"A's paths: {list}\n";
    }

    private static string Words(Outcome outcome) => outcome.Succeeded ? $"connected ({outcome.Words})" : outcome.Words;
}
