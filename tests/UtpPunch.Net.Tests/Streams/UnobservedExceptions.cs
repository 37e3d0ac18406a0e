using System.Net;

namespace UtpPunch.Tests;

/// <summary>Collects the unobserved exceptions that concern nodes with these addresses, until it is disposed. The finalizer may report those
/// of other tests at any time; they are not among them.</summary>
internal sealed class UnobservedExceptions : IDisposable
{
    private readonly List<Exception> _seen = [];
    private readonly IPEndPoint[] _endPoints;

    public UnobservedExceptions(params IPEndPoint[] endPoints)
    {
        _endPoints = endPoints;
        TaskScheduler.UnobservedTaskException += Note;
    }

    /// <summary>What was seen so far.</summary>
    public IReadOnlyList<Exception> Seen
    {
        get
        {
            lock (_seen)
            {
                return [.. _seen];
            }
        }
    }

    /// <summary>Runs the finalizers of all that is unreachable.</summary>
    public static void Collect()
    {
        for (var pass = 0; pass < 3; pass++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    public void Dispose() => TaskScheduler.UnobservedTaskException -= Note;

    private void Note(object? sender, UnobservedTaskExceptionEventArgs args)
    {
        lock (_seen)
        {
            _seen.AddRange(args.Exception.Flatten().InnerExceptions.Where(error =>
                error is UtpException { RemoteEndPoint: { } remote } && _endPoints.Contains(remote)));
        }
    }
}
