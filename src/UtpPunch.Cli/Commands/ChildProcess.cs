using System.Diagnostics;

namespace UtpPunch.Cli;

/// <summary>
/// A child process. Its standard output is read line by line; it shares our standard error. It must end when its standard input ends, which
/// also happens when this process is killed. <see cref="Dispose"/> kills it.
/// </summary>
internal class ChildProcess : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);
    private readonly Process _process;

    public ChildProcess(ProcessStartInfo start)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        _process = Process.Start(start) ?? throw new ToolException(ExitCodes.Failure, $"{start.FileName} did not start");
    }

    public int Id => _process.Id;

    /// <summary>Writes a line to its standard input. If it has ended, the next read shows it.</summary>
    public void Say(string line)
    {
        try
        {
            _process.StandardInput.Write($"{line}\n");
            _process.StandardInput.Flush();
        }
        catch (IOException)
        {
        }
    }

    /// <summary>The next line of its output; null when it has ended.</summary>
    public ValueTask<string?> ReadLineAsync(CancellationToken cancellationToken) =>
        _process.StandardOutput.ReadLineAsync(cancellationToken);

    /// <summary>Waits for its end; the exit code.</summary>
    public async Task<int> ExitAsync(CancellationToken cancellationToken)
    {
        await _process.WaitForExitAsync(cancellationToken);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        try
        {
            _process.Kill();
            _process.WaitForExit(Timeout);
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself.
        }

        _process.Dispose();
    }
}
