namespace UtpPunch;

/// <summary>
/// Resets the streams of a node when the process ends and has not closed it. Without that their peers would wait for a time-out. It delays
/// the end of the process by milliseconds, for all nodes together.
/// </summary>
internal sealed class ExitReset : IDisposable
{
    private const long Limit = 50_000;

    // Until when the process may wait; 0 as long as it does not end.
    private static long s_until;

    // A weak reference: the process must not keep a node alive for this.
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

        // The calling thread steps the node itself, unless another one is stepping it.
        var closed = engine.Close(TimeSpan.Zero, inline: true);
        if (!engine.IsOver && !engine.HoldsLoopLock)
        {
            Task.WaitAny([closed], Clock.MillisecondsUntil(Interlocked.Read(ref s_until)));
        }
    }
}
