using Microsoft.Extensions.Logging;

namespace UtpPunch.Cli;

/// <summary>The log of `--verbose`: the library's messages, one line each, on standard error. It is called by the thread that serves a node; a
/// terminal takes the few lines at once.</summary>
internal sealed class ErrorLog : ILoggerFactory, ILogger
{
    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        ErrorOutput.Write(exception is null ? formatter(state, exception) : $"{formatter(state, exception)}: {exception.Message}");

    public void Dispose()
    {
    }
}
