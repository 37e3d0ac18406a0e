using System.Text;
using UtpPunch.Tracing;

namespace UtpPunch;

/// <summary>A copy of a recording, which is written as text.</summary>
internal sealed class Recording(Recorder.Segment[] segments, TraceNode node, bool full)
{
    private const int ChunkSize = 64 * 1024;

    private readonly StringBuilder _text = new();

    // The segment that is written: hashes of packets come from it.
    private TraceRecordingReader? _steps;

    /// <summary>The text in pieces.</summary>
    public IEnumerable<string> Chunks()
    {
        var payloads = full ? TracePayloads.Full : TracePayloads.Hashed(() => _steps!.NextHash());
        var writer = new TraceWriter(line => _text.Append(line).Append('\n'), TraceWriter.Core, payloads);
        writer.Node(node);
        if (!segments[0].IsFirst)
        {
            writer.Snapshot(node.Name, Snapshot.Take(full, segments[0].Start));
        }

        foreach (var segment in segments)
        {
            _steps = new TraceRecordingReader(segment.Steps);
            while (_steps.Read())
            {
                Write(writer, _steps, segment.Fault);
                if (_text.Length >= ChunkSize)
                {
                    yield return _text.ToString();
                    _text.Clear();
                }
            }
        }

        writer.End();
        yield return _text.ToString();
    }

    private void Write(TraceWriter writer, TraceRecordingReader step, Exception? fault)
    {
        writer.Events(step.Now, node.Name, step.Now, step.Events, null);
        if (step.HasFailed)
        {
            writer.Line(TraceText.Fault(step.Now, node.Name, fault!));
        }
        else
        {
            writer.Effects(step.Now, node.Name, step.Effects, null);
        }
    }
}
