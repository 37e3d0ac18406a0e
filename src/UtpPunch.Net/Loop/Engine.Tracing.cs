using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

// What is recorded, and what becomes of it when the node breaks down.
internal sealed partial class Engine
{
    private readonly Recorder? _recorder;
    private readonly TraceNode _traced;

    /// <summary>Null when nothing is recorded.</summary>
    public Recorder? Recorder => _recorder;

    /// <summary>Whether older states are recorded with what streams carry, so that nothing that was written or received may be written over.
    /// Recorded hashes are all that a trace has of it otherwise, and its states have zeroes there.</summary>
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

    // Before anybody learns of the fault: who does may look for the file.
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
            // The node has a fault to tell of; that its trace could not be written is not the news.
        }
    }
}
