using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

/// <summary>
/// Records the events and effects of a node in segments. Each segment begins with the state of the node at its start; the oldest is
/// dropped when all of them together exceed the capacity. Must be called under the loop lock.
/// </summary>
internal sealed class Recorder
{
    private const int Segments = 4;

    private readonly int _capacity;
    private readonly bool _full;
    private readonly Queue<Segment> _older = new();
    private Segment _current;
    private TraceRecording? _spare;
    private int _beforeStep;
    private bool _isEmptyStep;
    private Exception? _fault;

    public Recorder(int capacity, bool full, Node start)
    {
        _capacity = capacity;
        _full = full;
        _current = new Segment(start, new TraceRecording(capacity / Segments, full), IsFirst: true);
    }

    /// <summary>A part of the recording, and the state before its first step.</summary>
    internal sealed record Segment(Node Start, TraceRecording Steps, bool IsFirst)
    {
        /// <value>What its last step threw.</value>
        public Exception? Fault { get; init; }
    }

    /// <summary>A copy of the segments, which later steps do not change.</summary>
    public Segment[] Copy() => [.. _older.Append(_current).Select(segment => segment with { Steps = segment.Steps.Copy(), Fault = _fault })];

    /// <summary>Records the events of a step, before it is taken.</summary>
    public void Begin(long now, Event[] events, Node before)
    {
        // Nearly every step then fits into the rest of the segment.
        if (_current.Steps.Length >= _capacity / Segments / 8 * 7)
        {
            StartSegment(before);
        }

        _beforeStep = _current.Steps.Length;
        _isEmptyStep = events.Length == 0;
        _current.Steps.Begin(now, events);
    }

    /// <summary>Records the effects of the step. A step in which nothing happened leaves no trace.</summary>
    public void Complete(Effect[] effects, bool changed)
    {
        if (_isEmptyStep && !changed)
        {
            _current.Steps.Truncate(_beforeStep);
            return;
        }

        _current.Steps.Complete(effects);
    }

    /// <summary>Records that the step threw.</summary>
    public void Fault(Exception fault)
    {
        _fault = fault;
        _current.Steps.Fail();
    }

    private void StartSegment(Node start)
    {
        _older.Enqueue(_current);
        var total = _capacity / Segments;
        foreach (var segment in _older)
        {
            total += segment.Steps.Length;
        }

        while (total > _capacity && _older.TryDequeue(out var oldest))
        {
            total -= oldest.Steps.Length;
            _spare = oldest.Steps;
        }

        // One that has grown far beyond its share is left to the garbage collector.
        var steps = _spare is { } spare && spare.Capacity <= _capacity / 2 ? spare : new TraceRecording(_capacity / Segments, _full);
        steps.Truncate(0);
        _spare = null;
        _current = new Segment(start, steps, IsFirst: false);
    }
}
