using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;

namespace UtpPunch.Cli.Bench;

/// <summary>Listens to all that the library tells: each instrument, read once a second as an exporter would, each span, and each message of the log, whose
/// text is made.</summary>
internal sealed class TelemetryListeners : ILoggerFactory
{
    private const string Source = "UtpPunch.Net";

    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    private readonly MeterListener _meters = new();
    private readonly ActivityListener _spans = new()
    {
        ShouldListenTo = source => source.Name == Source,
        Sample = (ref _) => ActivitySamplingResult.AllDataAndRecorded,
    };

    private readonly Timer _timer;
    private long _told;

    public TelemetryListeners()
    {
        _meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == Source)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _meters.SetMeasurementEventCallback<int>((_, _, _, _) => Count());
        _meters.SetMeasurementEventCallback<long>((_, _, _, _) => Count());
        _meters.SetMeasurementEventCallback<double>((_, _, _, _) => Count());
        _meters.Start();
        _spans.ActivityStopped = _ => Count();
        ActivitySource.AddActivityListener(_spans);
        _timer = new Timer(_ => _meters.RecordObservableInstruments(), null, s_interval, s_interval);
    }

    /// <summary>The number of measurements, spans and messages so far.</summary>
    public long Told => Interlocked.Read(ref _told);

    public ILogger CreateLogger(string categoryName) => new Logger(this);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("This factory has one provider.");

    public void Dispose()
    {
        _timer.Dispose();
        _meters.Dispose();
        _spans.Dispose();
    }

    private void Count() => Interlocked.Increment(ref _told);

    private sealed class Logger(TelemetryListeners listeners) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            _ = formatter(state, exception);
            listeners.Count();
        }
    }
}
