namespace UtpPunch;

/// <summary>
/// Resets the streams of a node when the process ends and has not closed it. Without that their peers would wait for a time-out. The
/// process is held up for milliseconds, all nodes together.
/// </summary>
internal sealed class ExitReset : IDisposable
{
    private const long Limit = 50_000;

    // When the process may wait no more; 0 as long as it does not end.
    private static long s_until;

    // The process need not keep a node for this.
    private readonly WeakReference<Engine> _engine;

    public ExitReset(Engine engine)
    {
        _engine = new WeakReference<Engine>(engine);
        AppDomain.CurrentDomain.ProcessExit += OnExit;
    }

    public void Dispose() => AppDomain.CurrentDomain.ProcessExit -= OnExit;

    private void OnExit(object? sender, EventArgs e)
    {
        if (!_engine.TryGetTarget(out var engine))
        {
            return;
        }

        Interlocked.CompareExchange(ref s_until, Clock.Now + Limit, 0);

        // The calling thread steps the node itself, unless another one does just now.
        var closed = engine.Close(TimeSpan.Zero, inline: true);
        if (!engine.IsOver && !engine.HoldsLoopLock)
        {
            Task.WaitAny([closed], Clock.MillisecondsUntil(Interlocked.Read(ref s_until)));
        }
    }
}
