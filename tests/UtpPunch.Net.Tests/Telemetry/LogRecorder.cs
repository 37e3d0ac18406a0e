using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace UtpPunch.Tests;

/// <summary>Keeps what is logged.</summary>
internal sealed class LogRecorder : ILoggerFactory, ILogger
{
    private readonly ConcurrentQueue<LogEntry> _entries = new();

    /// <summary>Called with each message, on the thread that logs it.</summary>
    public Action<int>? Logged { get; set; }

    public IReadOnlyList<LogEntry> Entries => [.. _entries];

    public IEnumerable<LogEntry> Of(int id) => Entries.Where(entry => entry.Id == id);

    public ILogger CreateLogger(string categoryName)
    {
        Check.Equal("UtpPunch.Net", categoryName);
        return this;
    }

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        _entries.Enqueue(new LogEntry(eventId.Id, logLevel, formatter(state, exception), exception));
        Logged?.Invoke(eventId.Id);
    }

    public void Dispose()
    {
    }
}

internal sealed record LogEntry(int Id, LogLevel Level, string Text, Exception? Error);
