using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace UtpPunch.Rendezvous;

/// <summary>
/// The observable instruments of some meters in Prometheus' text format 0.0.4. Names follow OpenTelemetry's rules for Prometheus: dots
/// become underscores, counters end in <c>_total</c>, units in braces are left out. Labels do without the prefix of the library's attributes.
/// </summary>
internal static class MetricsText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>Reads all instruments now.</summary>
    public static string Collect(IReadOnlyCollection<string> meters)
    {
        var text = new StringBuilder();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.IsObservable && meters.Contains(instrument.Meter.Name, StringComparer.Ordinal))
            {
                self.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Write(text, instrument, value, tags));
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Write(text, instrument, value, tags));
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Write(text, instrument, value, tags));
        listener.Start();
        listener.RecordObservableInstruments();
        return text.ToString();
    }

    private static void Write<T>(StringBuilder text, Instrument instrument, T value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        where T : IFormattable
    {
        var isCounter = instrument.GetType().GetGenericTypeDefinition() == typeof(ObservableCounter<>);
        var name = NameOf(instrument, isCounter);
        var head = $"# HELP {name} {instrument.Description}\n# TYPE {name} {(isCounter ? "counter" : "gauge")}\n";
        if (!text.ToString().Contains(head, StringComparison.Ordinal))
        {
            text.Append(head);
        }

        text.Append(name);
        for (var index = 0; index < tags.Length; index++)
        {
            text.Append(index == 0 ? '{' : ',').Append(LabelOf(tags[index].Key)).Append("=\"").Append(Escaped($"{tags[index].Value}")).Append('"');
        }

        text.Append(tags.Length > 0 ? "} " : " ").Append(value.ToString(null, CultureInfo.InvariantCulture)).Append('\n');
    }

    private static string Escaped(string value) => value
        .Replace("\\", "\\\\", StringComparison.Ordinal)
        .Replace("\"", "\\\"", StringComparison.Ordinal)
        .Replace("\n", "\\n", StringComparison.Ordinal);

    private static string NameOf(Instrument instrument, bool isCounter)
    {
        var unit = instrument.Unit switch
        {
            "By" => "_bytes",
            "s" => "_seconds",
            _ => "",
        };
        return $"{Sanitized(instrument.Name)}{unit}{(isCounter ? "_total" : "")}";
    }

    private static string LabelOf(string attribute)
    {
        const string Prefix = "utp.";
        return Sanitized(attribute.StartsWith(Prefix, StringComparison.Ordinal) ? attribute[Prefix.Length..] : attribute);
    }

    private static string Sanitized(string name) => string.Create(name.Length, name, static (target, source) =>
    {
        for (var index = 0; index < source.Length; index++)
        {
            target[index] = char.IsAsciiLetterOrDigit(source[index]) ? source[index] : '_';
        }
    });
}
