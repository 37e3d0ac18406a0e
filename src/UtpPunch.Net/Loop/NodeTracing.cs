using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

/// <summary>Records the steps of a node, and writes the trace when the node fails.</summary>
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

    /// <summary>Whether recorded states include the contents of streams, so that written and received buffers must not be overwritten.
    /// Otherwise a trace has only hashes of them, and zeroes in its states.</summary>
    public bool KeepsContent => _options is { Payload: UtpTracePayload.Full };

    /// <summary>A copy of the recorder's segments, as a trace of this node.</summary>
    public Recording Record(Recorder.Segment[] segments) => new(segments, _node, KeepsContent);

    /// <summary>Steps the node, and records the step if recording is on.</summary>
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

    /// <summary>Writes the trace of a fault, before any call fails with it, since the application may look for the file.</summary>
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
