using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading.Channels;

namespace UtpPunch.Tests;

/// <summary>A program that runs beside a test. It ends with this object.</summary>
public sealed class ProgramRun : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();
    private readonly ConcurrentQueue<string> _output = new();
    private readonly Task _reading;
    private readonly Task _readingErrors;
    private readonly ConcurrentQueue<string> _errors = new();

    private ProgramRun(ProcessStartInfo start)
    {
        _process = Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} did not start");
        _reading = ReadAsync(_process.StandardOutput, line =>
        {
            _output.Enqueue(line);
            _lines.Writer.TryWrite(line);
        });
        _readingErrors = ReadAsync(_process.StandardError, _errors.Enqueue);
    }

    /// <summary>The process's id.</summary>
    public int Id => _process.Id;

    /// <summary>Its exit code, when it has ended.</summary>
    public int ExitCode => _process.ExitCode;

    /// <summary>Its standard error so far.</summary>
    public string Errors => string.Join('\n', _errors);

    /// <summary>Its output so far, for the message of a failure.</summary>
    public string Transcript => $"{string.Join('\n', _output)}\n{Errors}";

    /// <summary>Starts a program in a folder.</summary>
    public static ProgramRun Start(
        string folder, string command, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment = null)
    {
        var start = new ProcessStartInfo(command, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string?>(StringComparer.Ordinal))
        {
            start.Environment[name] = value;
        }

        return new ProgramRun(start);
    }

    /// <summary>Writes a line to its standard input.</summary>
    public void Write(string line) => _process.StandardInput.WriteLine(line);

    /// <summary>Closes its standard input.</summary>
    public void CloseInput() => _process.StandardInput.Close();

    /// <summary>Waits for the next line of its output that contains a text.</summary>
    public async Task<string> LineAsync(string text)
    {
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            await foreach (var line in _lines.Reader.ReadAllAsync(limit.Token))
            {
                if (line.Contains(text, StringComparison.Ordinal))
                {
                    return line;
                }
            }
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"no line with '{text}' within {Limit.TotalSeconds} s in\n{Transcript}");
        }

        throw new TimeoutException($"the program has ended without a line with '{text}':\n{Transcript}");
    }

    /// <summary>Waits until it has ended by itself.</summary>
    /// <returns>Its standard output.</returns>
    public async Task<string> EndAsync()
    {
        try
        {
            await _process.WaitForExitAsync().WaitAsync(Limit);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"the program has not ended within {Limit.TotalSeconds} s:\n{Transcript}");
        }

        await Task.WhenAll(_reading, _readingErrors).WaitAsync(Limit);
        return string.Join('\n', _output);
    }

    /// <summary>Asks it to end, as a service manager does (SIGTERM).</summary>
    public void Terminate()
    {
        using var kill = Process.Start("kill", ["-TERM", $"{_process.Id}"]);
        kill.WaitForExit();
    }

    /// <summary>Ends it as a machine that loses its power does (SIGKILL).</summary>
    public void Kill()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
        }
    }

    public void Dispose()
    {
        Kill();
        _process.Dispose();
    }

    private async Task ReadAsync(StreamReader reader, Action<string> take)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            take(line);
        }

        if (ReferenceEquals(reader, _process.StandardOutput))
        {
            _lines.Writer.TryComplete();
        }
    }
}
