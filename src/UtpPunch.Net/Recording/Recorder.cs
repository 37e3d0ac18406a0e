using System.Buffers.Binary;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch;

/// <summary>
/// Records what the core is told and does, in segments. Each begins with the state of the node at its start; the oldest is dropped when
/// all of them together are too large. Nothing that the core holds is kept: headers are copied, payloads are hashed, or copied too.
/// Belongs to the engine's thread.
/// </summary>
internal sealed class Recorder
{
    /// <summary>In the place of a head's length: the datagram stands there as it is.</summary>
    public const ushort Raw = ushort.MaxValue;

    private const int Segments = 4;

    private readonly int _capacity;
    private readonly bool _full;
    private readonly Queue<Segment> _older = new();
    private Segment _current;
    private RecordedBytes _bytes;
    private RecordedBytes? _spare;
    private int _beforeStep;
    private bool _isEmptyStep;
    private Exception? _fault;

    public Recorder(int capacity, bool full, Node start)
    {
        _capacity = capacity;
        _full = full;
        _bytes = new RecordedBytes(capacity / Segments);
        _current = new Segment(start, _bytes, IsFirst: true);
    }

    /// <summary>A part of the recording, and the state before its first step.</summary>
    internal sealed record Segment(Node Start, RecordedBytes Bytes, bool IsFirst)
    {
        /// <value>What its last step threw.</value>
        public Exception? Fault { get; init; }
    }

    /// <summary>The segments as they are now, which nobody writes any more.</summary>
    public Segment[] Copy() => [.. _older.Append(_current).Select(segment => segment with { Bytes = segment.Bytes.Copy(), Fault = _fault })];

    /// <summary>A step is about to be taken.</summary>
    public void Begin(long now, Event[] events, Node before)
    {
        // Nearly always the step then fits into what is left.
        if (_bytes.Length >= _capacity / Segments / 8 * 7)
        {
            Turn(before);
        }

        _beforeStep = _bytes.Length;
        _isEmptyStep = events.Length == 0;
        _bytes.Add((byte)Mark.Step);
        _bytes.Add(now);
        Datagrams? previous = null;
        foreach (var item in events)
        {
            previous = Add(item, previous);
        }
    }

    /// <summary>The step was taken. One in which nothing happened leaves no trace.</summary>
    public void Complete(Effect[] effects, bool changed)
    {
        if (_isEmptyStep && !changed)
        {
            _bytes.Truncate(_beforeStep);
            return;
        }

        foreach (var effect in effects)
        {
            Add(effect);
        }
    }

    /// <summary>The step threw.</summary>
    public void Fault(Exception fault)
    {
        _fault = fault;
        Add(Mark.Fault);
    }

    private void Turn(Node start)
    {
        _older.Enqueue(_current);
        var total = _capacity / Segments;
        foreach (var segment in _older)
        {
            total += segment.Bytes.Length;
        }

        while (total > _capacity && _older.TryDequeue(out var oldest))
        {
            total -= oldest.Bytes.Length;
            _spare = oldest.Bytes;
        }

        _bytes = _spare is { } spare && spare.Capacity <= _capacity / 2 ? spare : new RecordedBytes(_capacity / Segments);
        _bytes.Truncate(0);
        _spare = null;
        _current = new Segment(start, _bytes, IsFirst: false);
    }

    private void Add(Mark mark) => _bytes.Add((byte)mark);

    private void Add(Mark mark, int connId)
    {
        Add(mark);
        _bytes.Add(connId);
    }

    private Datagrams? Add(Event item, Datagrams? previous)
    {
        switch (item)
        {
            case Event.Received received:
                Add(received, previous);
                return received.datagrams;
            case Event.Write write:
                Add(Mark.Write, write.connId);
                AddContent(write.bytes.Span);
                break;
            case Event.Consumed consumed:
                Add(Mark.Consumed, consumed.connId);
                _bytes.Add(consumed.count);
                break;
            case Event.Connect connect:
                Add(Mark.Connect, connect.connId);
                _bytes.Add(connect.remote);
                _bytes.Add(connect.dialect.IsUtpPunch ? (byte)1 : (byte)0);
                _bytes.Add(connect.timeout);
                break;
            case Event.Listen listen:
                Add(Mark.Listen, listen.backlog);
                break;
            case Event.Taken taken:
                Add(Mark.Taken, taken.connId);
                break;
            case Event.Finish finish:
                Add(Mark.Finish, finish.connId);
                break;
            case Event.Release release:
                Add(Mark.Release, release.connId);
                _bytes.Add(release.timeout);
                break;
            case Event.Abort abort:
                Add(Mark.Abort, abort.connId);
                break;
            case Event.SetIdleTimeout idle:
                Add(Mark.IdleTimeout, idle.connId);
                _bytes.Add(idle.duration);
                break;
            case Event.Unreachable unreachable:
                Add(Mark.Unreachable);
                _bytes.Add(unreachable.remote);
                break;
            case { IsUnlisten: true }:
                Add(Mark.Unlisten);
                break;
            default:
                Add(Mark.Event);
                _bytes.AddObject(item);
                break;
        }

        return null;
    }

    private void Add(Event.Received received, Datagrams? previous)
    {
        var datagrams = received.datagrams;
        var shares = previous is not null && ReferenceEquals(previous.Buffer, datagrams.Buffer);
        Add(Mark.Received);
        _bytes.Add(received.from);
        _bytes.Add(datagrams.ArrivedAt);
        _bytes.Add(datagrams.SegmentSize);
        _bytes.Add(datagrams.Length);

        // The core joins what lies together in one buffer, so the distance counts.
        _bytes.Add(shares ? datagrams.Offset - previous!.Offset : -1);
        if (_full)
        {
            _bytes.Add(datagrams.Buffer.AsSpan(datagrams.Offset, datagrams.Length));
            return;
        }

        for (var index = 0; index < datagrams.Count; index++)
        {
            var datagram = datagrams[index].Span;
            var head = TraceDatagram.HeadLength(datagram);
            if (head < 0)
            {
                _bytes.Add(Raw);
                _bytes.Add(datagram);
            }
            else
            {
                // All of it at once: this is what every packet costs.
                var hashed = datagram.Length > head;
                var room = _bytes.Take(sizeof(ushort) + head + (hashed ? sizeof(ulong) : 0));
                BinaryPrimitives.WriteUInt16LittleEndian(room, (ushort)head);
                datagram[..head].CopyTo(room[sizeof(ushort)..]);
                if (hashed)
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(room[(sizeof(ushort) + head)..], Fingerprint.OfPayload(datagram[head..]));
                }
            }
        }
    }

    private void Add(Effect effect)
    {
        switch (effect)
        {
            case Effect.Send send:
                Add(Mark.Send);
                _bytes.Add(send.remote);
                Add(send.train);
                break;
            case Effect.Deliver deliver:
                Add(Mark.Deliver, deliver.connId);
                _bytes.Add(deliver.payload.Length);
                if (_full)
                {
                    deliver.payload.CopyTo(0, _bytes.Take(deliver.payload.Length));
                }

                break;
            case Effect.Writable writable:
                Add(Mark.Writable, writable.connId);
                _bytes.Add(writable.room);
                break;
            case Effect.Accepted accepted:
                Add(Mark.Accepted, accepted.connId);
                _bytes.Add(accepted.remote);
                _bytes.Add(accepted.connectionId);
                break;
            case Effect.Opened opened:
                Add(Mark.Opened, opened.connId);
                _bytes.Add(opened.connectionId);
                break;
            case Effect.Ended ended:
                Add(Mark.Ended, ended.connId);
                break;
            case Effect.Finished finished:
                Add(Mark.Finished, finished.connId);
                break;
            case Effect.Closed closed:
                Add(Mark.Closed, closed.connId);
                _bytes.Add((byte)closed.reason.Tag);
                break;
            case Effect.Foreign foreign:
                Add(Mark.Foreign);
                _bytes.Add(foreign.from);
                _bytes.Add(foreign.datagram.Length);
                _bytes.Add(foreign.datagram.Span);
                break;
            case Effect.Noted noted:
                Add(Mark.Noted);
                _bytes.Add((byte)noted.rule.Tag);
                _bytes.Add(noted.remote);
                break;
            default:
                Add(Mark.Effect);
                _bytes.AddObject(effect);
                break;
        }
    }

    // The head of the first packet, as it goes out; the others differ in their number only.
    private void Add(Train train)
    {
        var payload = train.Payload.Span;
        var header = train.Header;
        var head = PacketModule.lengthOf(train.Sack.Length, train.Bits, 0);
        _bytes.Add((ushort)head);
        PacketModule.encode(in header, train.Sack, train.Bits, Owned.Empty, _bytes.Take(head));
        _bytes.Add(train.MayFragment ? (byte)1 : (byte)0);
        _bytes.Add(train.PacketSize);
        _bytes.Add(payload.Length);
        if (_full)
        {
            _bytes.Add(payload);
            return;
        }

        for (var start = 0; start < payload.Length; start += train.PacketSize)
        {
            _bytes.Add(Fingerprint.OfPayload(payload[start..Math.Min(payload.Length, start + train.PacketSize)]));
        }
    }

    private void AddContent(ReadOnlySpan<byte> content)
    {
        _bytes.Add(content.Length);
        if (_full)
        {
            _bytes.Add(content);
        }
    }
}
