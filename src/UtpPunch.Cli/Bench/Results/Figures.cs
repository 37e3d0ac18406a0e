using System.Globalization;

namespace UtpPunch.Cli.Bench;

/// <summary>Numbers with about three significant digits.</summary>
internal static class Figures
{
    public static string Of(double value)
    {
        if (double.IsNaN(value))
        {
            return "-";
        }

        var size = Math.Abs(value);
        var format = size switch
        {
            0 => "F0",
            < 0.1 => "F4",
            < 1 => "F3",
            < 10 => "F2",
            < 100 => "F1",
            _ => "F0",
        };
        return value.ToString(format, CultureInfo.InvariantCulture);
    }

    public static string OfMedian(Spread? spread) => spread is null ? "-" : Of(spread.Median);

    /// <summary>The median, with the least and the most in parentheses.</summary>
    public static string Of(Spread? spread) =>
        spread is null ? "-"
        : spread.Samples.Length == 1 ? Of(spread.Median)
        : $"{Of(spread.Median)} ({Of(spread.Least)}–{Of(spread.Most)})";
}
