using System.Text;

namespace UtpPunch;

// The trace of the node.
public sealed partial class UtpNode
{
    /// <summary>
    /// Writes what was recorded so far (<see cref="UtpNodeOptions.Trace"/>) as a trace in UTF-8, the file that <c>utp replay</c> reads.
    /// The node and the recording continue meanwhile. The method may also be called after the node was closed or has failed. A trace
    /// contains the seed of the node's random numbers: with it, packets of the node's streams can be forged as long as they are open.
    /// </summary>
    /// <param name="destination">The stream that is written to. It is left open.</param>
    /// <param name="cancellationToken">Cancels the writing; the trace is incomplete then.</param>
    /// <exception cref="InvalidOperationException">Nothing is recorded: <see cref="UtpNodeOptions.Trace"/> was null.</exception>
    /// <exception cref="OperationCanceledException">The writing was cancelled.</exception>
    public async ValueTask WriteTraceAsync(Stream destination, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        var recorder = _engine.Tracing.Recorder
            ?? throw new InvalidOperationException($"The node records nothing: it was created without {nameof(UtpNodeOptions)}.{nameof(UtpNodeOptions.Trace)}.");
        var work = new TraceCommand(recorder);
        _engine.Post(work);
        var segments = await work.Copied.WaitAsync(cancellationToken).ConfigureAwait(false);
        foreach (var chunk in _engine.Tracing.Record(segments).Chunks())
        {
            await destination.WriteAsync(Encoding.UTF8.GetBytes(chunk), cancellationToken).ConfigureAwait(false);
        }
    }
}
