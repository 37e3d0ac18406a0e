using System.Diagnostics;

namespace UtpPunch.Cli;

/// <summary>
/// This tool once more, in a process of its own. Its standard output comes here line by line, its standard error goes where ours goes. It
/// is told to end by the end of its standard input, even if we are killed; and it is killed, by its process id, when this is disposed.
/// </summary>
internal sealed class OwnProcess : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private readonly Process _process;

    public OwnProcess(params string[] arguments)
    {
        var executable = Environment.ProcessPath
            ?? throw new ToolException(ExitCodes.Failure, "the system does not say where this program is");
        var isHosted = Path.GetFileNameWithoutExtension(executable).Equals("dotnet", StringComparison.OrdinalIgnoreCase);
        string[] host = isHosted ? ["exec", Path.Combine(AppContext.BaseDirectory, "utp.dll")] : [];
        _process = Process.Start(new ProcessStartInfo(executable, [.. host, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        }) ?? throw new ToolException(ExitCodes.Failure, $"{executable} did not start");
    }

    public int Id => _process.Id;

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
            _process.WaitForExit(Patience);
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself.
        }

        _process.Dispose();
    }
}
