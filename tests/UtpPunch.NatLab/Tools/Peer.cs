using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Threading.Channels;
using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab.Tools;

/// <summary>A program in a namespace that reports events as lines of JSON. It ends with this object.</summary>
internal sealed class Peer : IDisposable
{
    private const int PunchFailed = 4;

    private static readonly TimeSpan s_outputTimeout = TimeSpan.FromSeconds(2);

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _transcript = new();
    private readonly Task<string> _errors;
    private readonly TaskCompletionSource _spoke = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();
    private readonly Task<JsonElement?> _last;

    public Peer(Namespace place, string program, params IEnumerable<string> arguments)
    {
        _process = place.Start(program, arguments);
        _errors = ReadErrorsAsync();
        _last = ReadAsync();
    }

    /// <summary>Its output so far.</summary>
    public IEnumerable<string> Transcript => _transcript;

    /// <summary>Waits for the first line.</summary>
    public async Task SpeakAsync(TimeSpan timeout)
    {
        await Task.WhenAny(_spoke.Task, _last).WaitAsync(timeout);
        if (!_spoke.Task.IsCompleted)
        {
            throw new IOException($"{_process.StartInfo.ArgumentList[2]} ended without output: {await ErrorsAsync()}");
        }
    }

    /// <summary>Its first line, whatever it is; an exception if it has ended without one.</summary>
    public Task<string> FirstLineAsync(TimeSpan timeout) => LineAsync("", timeout);

    /// <summary>Its next line that contains a text; an exception if it has ended without one.</summary>
    public async Task<string> LineAsync(string text, TimeSpan timeout)
    {
        using var limit = new CancellationTokenSource(timeout);
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
            throw new TimeoutException($"no line with '{text}' within {timeout.TotalSeconds:F0} s: {string.Join("; ", _transcript)}");
        }

        throw new IOException($"a peer ended without a line with '{text}': {string.Join("; ", _transcript)} {await ErrorsAsync()}");
    }

    /// <summary>Ends its input.</summary>
    public void EndInput() => _process.StandardInput.Close();

    /// <summary>Gives it a line of input.</summary>
    public async Task SayAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>Waits until it has ended; exit code 0 is success, 4 a failed punch.</summary>
    public async Task<Outcome> EndAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        try
        {
            await _process.WaitForExitAsync(cancellationToken).WaitAsync(timeout, cancellationToken);
        }
        catch (TimeoutException)
        {
            _process.Kill();
            return Outcome.Trouble($"still running after {timeout.TotalSeconds:F0} s");
        }

        var last = await _last;
        var why = $"exit code {_process.ExitCode}: {Text(last, "stage")} {Text(last, "advice")}".TrimEnd();
        return _process.ExitCode switch
        {
            0 => Outcome.Success(Text(last, "path"), TimeSpan.FromMilliseconds(Number(last, "elapsedMs"))),
            PunchFailed => Outcome.Failure(why),
            _ => Outcome.Trouble($"{why} {await ErrorsAsync()}".TrimEnd()),
        };
    }

    /// <summary>Kills it, unless it has ended.</summary>
    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private async Task<JsonElement?> ReadAsync()
    {
        JsonElement? last = null;
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            _transcript.Enqueue(line);
            _lines.Writer.TryWrite(line);
            if (line.StartsWith('{'))
            {
                using var json = JsonDocument.Parse(line);
                last = json.RootElement.Clone();
                _spoke.TrySetResult();
            }
        }

        _lines.Writer.Complete();
        return last;
    }

    private async Task<string> ReadErrorsAsync()
    {
        var lines = new List<string>();
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            _transcript.Enqueue(line);
            lines.Add(line);
        }

        return string.Join("; ", lines);
    }

    private Task<string> ErrorsAsync() => _errors.WaitAsync(s_outputTimeout);

    private static string Text(JsonElement? line, string name) =>
        line is { } json && json.TryGetProperty(name, out var value) ? value.ToString() : "";

    private static double Number(JsonElement? line, string name) =>
        double.TryParse(Text(line, name), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : 0;
}
