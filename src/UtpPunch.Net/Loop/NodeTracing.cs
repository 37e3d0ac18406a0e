using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

/// <summary>What a node records of its steps, and what is written when it breaks down.</summary>
internal sealed class NodeTracing
{
    private readonly UtpTraceOptions? _options;
    private readonly TraceNode _node;

    public NodeTracing(UtpTraceOptions? options, TraceNode node, Node start)
    {
        _options = options;
        _node = node;
        Recorder = options is null ? null : new Recorder(options.Capacity, KeepsContent, start);
    }

    /// <summary>Null when nothing is recorded.</summary>
    public Recorder? Recorder { get; }

    /// <summary>Whether older states are recorded with what streams carry, so that nothing that was written or received may be written over.
    /// Recorded hashes are all that a trace has of it otherwise, and its states have zeroes there.</summary>
    public bool KeepsContent => _options is { Payload: UtpTracePayload.Full };

    /// <summary>A copy of the recorder's segments, as a trace of this node.</summary>
    public Recording Record(Recorder.Segment[] segments) => new(segments, _node, KeepsContent);

    /// <summary>Steps the node, and records the step if any is recorded.</summary>
    public Effect[] Step(long now, Event[] events, Node before, out Node after)
    {
        if (Recorder is not { } recorder)
        {
            (after, var unrecorded) = NodeModule.Step(now, events, before);
            return unrecorded;
        }

        recorder.Begin(now, events, before);
        try
        {
            (after, var effects) = NodeModule.Step(now, events, before);
            recorder.Complete(effects, !ReferenceEquals(after, before));
            return effects;
        }
        catch (Exception fault)
        {
            recorder.Fault(fault);
            throw;
        }
    }

    /// <summary>Writes the trace of a fault. Before anything learns of the fault, since it may look for the file.</summary>
    public void WriteFault()
    {
        if (Recorder is null || _options?.Path is not { } path)
        {
            return;
        }

        try
        {
            using var file = new StreamWriter(path);
            foreach (var chunk in Record(Recorder.Copy()).Chunks())
            {
                file.Write(chunk);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            // The node has a fault to report; a trace that could not be written must not replace it.
        }
    }
}
