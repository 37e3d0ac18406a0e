using System.Text;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

/// <summary>A recording that nobody adds to any more, on its way to text.</summary>
internal sealed class Recording(Recorder.Segment[] segments, TraceNode node, bool full)
{
    private const int ChunkSize = 64 * 1024;

    private readonly Queue<ulong> _hashes = new();
    private readonly StringBuilder _text = new();

    /// <summary>The text, piece by piece.</summary>
    public IEnumerable<string> Chunks()
    {
        var payloads = full ? TracePayloads.Full : TracePayloads.Hashed(_hashes.Dequeue);
        var writer = new TraceWriter(line => _text.Append(line).Append('\n'), TraceWriter.Core, payloads);
        writer.Node(node);
        if (!segments[0].IsFirst)
        {
            writer.Snapshot(node.Name, Snapshot.Take(full, segments[0].Start));
        }

        foreach (var segment in segments)
        {
            var steps = new RecordedSteps(segment.Bytes, full, _hashes);
            while (!steps.IsAtEnd)
            {
                Write(writer, steps, segment.Fault);
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

    private void Write(TraceWriter writer, RecordedSteps steps, Exception? fault)
    {
        var now = steps.ReadTime();
        writer.Events(now, node.Name, now, steps.ReadEvents(), null);
        if (steps.ReadEffects() is { } effects)
        {
            writer.Effects(now, node.Name, effects, null);
        }
        else
        {
            writer.Line(TraceText.Fault(now, node.Name, fault!));
        }
    }
}
