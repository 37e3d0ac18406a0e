using System.Diagnostics.Metrics;
using System.Net;
using System.Reflection;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;

namespace UtpPunch.Tests;

/// <summary>The tables of docs/telemetry.md are those of the code.</summary>
public static partial class DocumentedTables
{
    private const string Page = "docs/telemetry.md";

    [Fact("docs/telemetry.md lists the ids and levels of all messages")]
    public static async Task Messages()
    {
        var logged = typeof(UtpNode).Assembly.GetTypes()
            .SelectMany(type => type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Select(method => method.GetCustomAttribute<LoggerMessageAttribute>())
            .OfType<LoggerMessageAttribute>()
            .Select(message => $"{message.EventId} {message.Level}");
        var told = MessageRow().Matches(await Repository.TextAsync(Page))
            .SelectMany(row => row.Groups["ids"].Value.Split(", ").Select(id => $"{id} {row.Groups["level"].Value}"));
        Check.Equal(string.Join('\n', logged.Order(StringComparer.Ordinal)), string.Join('\n', told.Order(StringComparer.Ordinal)));
    }

    [Fact("docs/telemetry.md lists the kinds and units of all instruments")]
    public static async Task Instruments()
    {
        var loopback = new IPEndPoint(IPAddress.Loopback, 0);
        using var factory = new OwnMeters();
        var there = new List<string>();
        await using var node = await Pair.BindAsync(options => options.MeterFactory = factory);
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [loopback], MeterFactory = factory });
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (instrument.Meter.Scope == factory)
                {
                    there.Add($"{instrument.Name} {KindOf(instrument)} {instrument.Unit}");
                }
            },
        };
        listener.Start();
        var told = InstrumentRow().Matches(await Repository.TextAsync(Page))
            .Select(row => $"{row.Groups["name"].Value} {row.Groups["kind"].Value} {row.Groups["unit"].Value}");
        Check.Equal(string.Join('\n', there.Order(StringComparer.Ordinal)), string.Join('\n', told.Order(StringComparer.Ordinal)));
        Check.That(there.Count > 20, $"{there.Count} instruments");
    }

    private static string KindOf(Instrument instrument) => instrument switch
    {
        Histogram<double> or Histogram<long> => "histogram",
        Counter<long> or ObservableCounter<long> => "counter",
        ObservableUpDownCounter<long> => "up-down counter",
        _ => throw new NotSupportedException($"{instrument.GetType()}"),
    };

    [GeneratedRegex(@"^\| (?<ids>\d+(, \d+)*) \| (?<level>\w+) \| ", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex MessageRow();

    [GeneratedRegex(@"^\| `(?<name>utp\.[\w.]+)` \| (?<kind>histogram|counter|up-down counter), `(?<unit>\{?\w+\}?)`", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex InstrumentRow();
}
