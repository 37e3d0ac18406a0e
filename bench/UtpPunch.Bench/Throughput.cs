using System.Globalization;
using System.Text.Json;

namespace UtpPunch.Bench;

/// <summary>One connection over loopback, two processes, payload bytes a second at the reader. The contestants take turns, so that a
/// machine that slows down slows all of them; what counts are the ratios of the medians.</summary>
internal static class Throughput
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private sealed record Contestant(string Name, long Bytes, Func<Child> Sink, Func<string, string, Child> Source, bool NeedsNpm = false);

    // Each sends for a few seconds.
    private static readonly Contestant[] s_contestants =
    [
        new("UtpPunch", 500_000_000, () => Child.OfThisProgram("sink", "utp"), (port, bytes) => Child.OfThisProgram("source", "utp", port, bytes)),
        new("UtpPunch traced", 500_000_000, () => Child.OfThisProgram("sink", "utp-traced"), (port, bytes) => Child.OfThisProgram("source", "utp-traced", port, bytes)),
        new("npm utp-punch", 40_000_000, () => Child.OfNpm("utp-punch", "serve", "sink"), (port, bytes) => Child.OfNpm("utp-punch", "dial", port, "source", bytes), NeedsNpm: true),
        new("utp-native", 6_000_000, () => Child.OfNpm("utp-native", "serve", "sink"), (port, bytes) => Child.OfNpm("utp-native", "dial", port, "source", bytes), NeedsNpm: true),
        new(".NET TCP", 4_000_000_000, () => Child.OfThisProgram("sink", "tcp"), (port, bytes) => Child.OfThisProgram("source", "tcp", port, bytes)),
    ];

    public static async Task RunAsync(int rounds)
    {
        var hasNpm = Directory.Exists(Path.Combine(Repository.Root, "tests", "peers", "node_modules"));
        var contestants = s_contestants.Where(contestant => hasNpm || !contestant.NeedsNpm).ToArray();

        if (!hasNpm)
        {
            Console.WriteLine("npm utp-punch and utp-native: skipped, they need Node.js and npm");
        }

        var rates = contestants.ToDictionary(contestant => contestant.Name, _ => new List<double>());

        for (var round = 1; round <= rounds; round++)
        {
            foreach (var contestant in contestants)
            {
                var rate = await MeasureAsync(contestant);
                rates[contestant.Name].Add(rate);
                Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"round {round}: {contestant.Name} {rate:F1} MB/s"));
            }
        }

        var ours = Median(rates["UtpPunch"]);
        Console.WriteLine("one connection, loopback, two processes, MB/s at the reader (median, least to most), and ours as a multiple:");

        foreach (var (name, list) in rates)
        {
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"  {name,-15} {Median(list),8:F1}  ({list.Min():F1} to {list.Max():F1})  {ours / Median(list),7:F2} x"));
        }
    }

    private static async Task<double> MeasureAsync(Contestant contestant)
    {
        using var sink = contestant.Sink();
        var port = (await sink.WaitAsync("listening", s_patience)).GetProperty("port").GetInt32();
        using var source = contestant.Source(
            port.ToString(CultureInfo.InvariantCulture),
            contestant.Bytes.ToString(CultureInfo.InvariantCulture));
        JsonElement received = await sink.WaitAsync("received", s_patience);

        if (received.GetProperty("bytes").GetInt64() != contestant.Bytes)
        {
            throw new InvalidOperationException($"{contestant.Name}: {received} instead of {contestant.Bytes} bytes");
        }

        return contestant.Bytes / received.GetProperty("ms").GetDouble() / 1000;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
