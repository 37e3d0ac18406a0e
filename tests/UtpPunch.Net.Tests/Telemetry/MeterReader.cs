using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace UtpPunch.Tests;

/// <summary>Listens to the library's meter: that of the process, or that of a factory.</summary>
internal sealed class MeterReader : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly ConcurrentQueue<(string Name, double Value, string Tags)> _histograms = new();
    private readonly ConcurrentDictionary<string, long> _counters = new();
    private Dictionary<string, long> _values = [];

    public MeterReader(IMeterFactory? factory = null)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == "UtpPunch.Net" && instrument.Meter.Scope == factory)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => OnLong(instrument, value, Text(tags)));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => _histograms.Enqueue((instrument.Name, value, Text(tags))));
        _listener.Start();
    }

    /// <summary>The counters and gauges now, by name and attributes. Those that count events do so since the reader was made.</summary>
    public IReadOnlyDictionary<string, long> Read()
    {
        _values = new Dictionary<string, long>(_counters);
        _listener.RecordObservableInstruments();
        return _values;
    }

    public IEnumerable<(double Value, string Tags)> Histogram(string name) =>
        _histograms.Where(one => one.Name == name).Select(one => (one.Value, one.Tags));

    public void Dispose() => _listener.Dispose();

    private void OnLong(Instrument instrument, long value, string tags)
    {
        var key = $"{instrument.Name} {tags}".TrimEnd();
        if (instrument.IsObservable)
        {
            Check.That(_values.TryAdd(key, value), $"one measurement of {key}");
        }
        else if (instrument is Histogram<long>)
        {
            _histograms.Enqueue((instrument.Name, value, tags));
        }
        else
        {
            _counters.AddOrUpdate(key, value, (_, sum) => sum + value);
        }
    }

    private static string Text(ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        string.Join(' ', tags.ToArray().Select(tag => $"{tag.Key}={tag.Value}"));
}

/// <summary>The meters of a test, as a container has its own.</summary>
internal sealed class OwnMeters : IMeterFactory
{
    private readonly ConcurrentDictionary<string, Meter> _meters = new();

    public IEnumerable<Meter> Meters => _meters.Values;

    public Meter Create(MeterOptions options)
    {
        options.Scope = this;
        return _meters.GetOrAdd(options.Name, _ => new Meter(options));
    }

    public void Dispose()
    {
        foreach (var meter in _meters.Values)
        {
            meter.Dispose();
        }
    }
}
