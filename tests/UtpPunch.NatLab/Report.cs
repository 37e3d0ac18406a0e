using System.Text;
using UtpPunch.NatLab.Network;
using UtpPunch.NatLab.Tools;

namespace UtpPunch.NatLab;

/// <summary>A matrix in words: what was measured beside what is expected, what is missing and why, and how long it took.</summary>
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
            text.AppendLine($"{a} {types[a].Name,-26}{Row(row, cell => cell.Letter)}    {Row(row, cell => cell.IsExpected ? 'Y' : '.')}".TrimEnd());
        }

        var missing = cells.Where(cell => cell.IsMissing).ToArray();
        text.AppendLine(
            $"{cells.Count(cell => cell.Succeeded)} of {cells.Count} pairs connect, {cells.Count(cell => cell.IsExpected)} expected: "
            + $"{missing.Length} missing (!), {cells.Count(cell => cell.Letter == '+')} better (+)");
        text.AppendLine(Times(cells));
        foreach (var cell in missing)
        {
            text.AppendLine($"! {cell.A} and {cell.B}: A {Words(cell.OfA)}; B {Words(cell.OfB)}");
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
            : $"time to connect: half within {times[times.Length / 2]:F0} ms, nine of ten within {times[times.Length * 9 / 10]:F0} ms, all within {times[^1]:F0} ms";
    }

    private static string Words(Outcome outcome) => outcome.Succeeded ? $"connected ({outcome.Words})" : outcome.Words;
}
