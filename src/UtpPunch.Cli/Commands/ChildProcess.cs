using System.Diagnostics;

namespace UtpPunch.Cli;

/// <summary>
/// A process that works for us. Its standard output comes here line by line, its standard error goes where ours goes. It is told to end by
/// the end of its standard input, even if we are killed; and it is killed, by its process id, when this is disposed.
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

    /// <summary>Writes a line to its standard input. Whether it has ended shows when it is listened to.</summary>
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

    /// <summary>Waits until it has ended by itself.</summary>
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
