using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

// The recording of steps, and the trace that is written when the node fails.
internal sealed partial class Engine
{
    private readonly Recorder? _recorder;
    private readonly TraceNode _traced;

    /// <summary>Null when nothing is recorded.</summary>
    public Recorder? Recorder => _recorder;

    /// <summary>Whether older states are recorded with the contents of streams, so that no buffer may be used again. Otherwise a trace has
    /// hashes of contents only, and its snapshots have zeroes in their place.</summary>
    public bool KeepsContent => Settings.Trace is { Payload: UtpTracePayload.Full };

    /// <summary>A copy of the recorder's segments, as a trace of this node.</summary>
    public Recording Record(Recorder.Segment[] segments) =>
        new(segments, _traced, KeepsContent);

    private Effect[] StepRecorded(Recorder recorder, long now, Event[] events, out Node node)
    {
        recorder.Begin(now, events, _node);
        try
        {
            (node, var effects) = NodeModule.Step(now, events, _node);
            recorder.Complete(effects, !ReferenceEquals(node, _node));
            return effects;
        }
        catch (Exception fault)
        {
            recorder.Fault(fault);
            throw;
        }
    }

    // Called before the fault is reported: its receiver may look for the file.
    private void WriteTraceOfFault()
    {
        if (_recorder is null || Settings.Trace?.Path is not { } path)
        {
            return;
        }

        try
        {
            using var file = new StreamWriter(path);
            foreach (var chunk in Record(_recorder.Copy()).Chunks())
            {
                file.Write(chunk);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            // The fault itself is reported; a trace that cannot be written must not replace it.
        }
    }
}
