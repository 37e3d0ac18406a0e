using System.Text;

namespace UtpPunch;

// What the node has recorded of itself.
public sealed partial class UtpNode
{
    /// <summary>
    /// Writes what was recorded so far (<see cref="UtpNodeOptions.Trace"/>) as a trace, in UTF-8: the file that <c>utp replay</c> takes.
    /// The node goes on meanwhile; the recording, too. May be called when the node is closed, or broken down. Whoever has a trace knows
    /// the node's random numbers, and can forge packets of its streams as long as they live.
    /// </summary>
    /// <param name="destination">Is left open.</param>
    /// <param name="cancellationToken">Leaves the trace incomplete.</param>
    /// <exception cref="InvalidOperationException">Nothing is recorded: <see cref="UtpNodeOptions.Trace"/> was null.</exception>
    /// <exception cref="OperationCanceledException">The writing was cancelled.</exception>
    public async ValueTask WriteTraceAsync(Stream destination, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        var recorder = _engine.Tracing.Recorder
            ?? throw new InvalidOperationException($"The node records nothing: it was made without {nameof(UtpNodeOptions)}.{nameof(UtpNodeOptions.Trace)}.");
        var work = new TraceCommand(recorder);
        _engine.Post(work);
        var segments = await work.Copied.WaitAsync(cancellationToken).ConfigureAwait(false);
        foreach (var chunk in _engine.Tracing.Record(segments).Chunks())
        {
            await destination.WriteAsync(Encoding.UTF8.GetBytes(chunk), cancellationToken).ConfigureAwait(false);
        }
    }
}
