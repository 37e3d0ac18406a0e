using System.Runtime.InteropServices;

namespace UtpPunch.Cli;

/// <summary>
/// Ctrl-C and SIGTERM. The first signal asks to finish: nothing more is read, and what was read is sent. The second one asks to stop at once.
/// </summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _finish = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _exitCode;

    public Interruption()
    {
        Register(PosixSignal.SIGINT, ExitCodes.Interrupted);
        Register(PosixSignal.SIGTERM, ExitCodes.Terminated);
    }

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Finish => _finish.Token;

    /// <summary>Cancelled by the second.</summary>
    public CancellationToken Stop => _stop.Token;

    /// <summary>The exit code of the first signal; null if none has come.</summary>
    public int? ExitCode => Volatile.Read(ref _exitCode) is var code and not 0 ? code : null;

    // The token sources are not disposed: a signal handler may still be running, and they hold no resources.
    public void Dispose()
    {
        foreach (var registration in _registrations)
        {
            registration.Dispose();
        }
    }

    private void Register(PosixSignal signal, int exitCode) =>
        _registrations.Add(PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;                              // the process does not end by itself
            var isFirst = Interlocked.CompareExchange(ref _exitCode, exitCode, 0) == 0;
            (isFirst ? _finish : _stop).Cancel();
        }));
}
