using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Takes events and effects out of a recording again. Contents that were not recorded are zeroes; the hashes of packets go into a queue,
/// in the order of the packets.
/// </summary>
internal sealed class RecordedSteps(RecordedBytes bytes, bool full, Queue<ulong> hashes)
{
    private static readonly Rule[] Rules = Values<Rule>(rule => rule.Tag);
    private static readonly CloseReason[] Reasons = Values<CloseReason>(reason => reason.Tag);

    private readonly List<Event> _events = [];
    private readonly List<Effect> _effects = [];
    private RecordedBytes.Reader _bytes = bytes.Read();
    private Datagrams? _previous;

    public bool IsAtEnd => _bytes.IsAtEnd;

    /// <summary>The time of the next step.</summary>
    public long ReadTime()
    {
        _bytes.Byte();
        return _bytes.Int64();
    }

    /// <summary>The events of the step whose time was read last.</summary>
    public Event[] ReadEvents()
    {
        _events.Clear();
        _previous = null;
        while (!_bytes.IsAtEnd && (Mark)_bytes.Peek() is > Mark.Fault and < Mark.Send)
        {
            var item = ReadEvent((Mark)_bytes.Byte());
            _previous = item is Event.Received received ? received.datagrams : null;
            _events.Add(item);
        }

        return [.. _events];
    }

    /// <summary>What the step did; null when it threw.</summary>
    public Effect[]? ReadEffects()
    {
        _effects.Clear();
        while (!_bytes.IsAtEnd && (Mark)_bytes.Peek() >= Mark.Send)
        {
            _effects.Add(ReadEffect((Mark)_bytes.Byte()));
        }

        if (!_bytes.IsAtEnd && (Mark)_bytes.Peek() == Mark.Fault)
        {
            _bytes.Byte();
            return null;
        }

        return [.. _effects];
    }

    private Event ReadEvent(Mark mark) => mark switch
    {
        Mark.Received => ReadReceived(),
        Mark.Write => Event.NewWrite(_bytes.Int32(), ReadContent()),
        Mark.Consumed => Event.NewConsumed(_bytes.Int32(), _bytes.Int32()),
        Mark.Connect => Event.NewConnect(
            _bytes.Int32(), _bytes.Endpoint(), _bytes.Byte() == 1 ? Dialect.UtpPunch : Dialect.Bep29, _bytes.Int64()),
        Mark.Listen => Event.NewListen(_bytes.Int32()),
        Mark.Unlisten => Event.Unlisten,
        Mark.Taken => Event.NewTaken(_bytes.Int32()),
        Mark.Finish => Event.NewFinish(_bytes.Int32()),
        Mark.Release => Event.NewRelease(_bytes.Int32(), _bytes.Int64()),
        Mark.Abort => Event.NewAbort(_bytes.Int32()),
        Mark.IdleTimeout => Event.NewSetIdleTimeout(_bytes.Int32(), _bytes.Int64()),
        Mark.Unreachable => Event.NewUnreachable(_bytes.Endpoint()),
        Mark.Event => (Event)_bytes.Object(),
        _ => throw new SwitchExpressionException(mark),
    };

    private Effect ReadEffect(Mark mark) => mark switch
    {
        Mark.Send => Effect.NewSend(_bytes.Endpoint(), ReadTrain()),
        Mark.Deliver => ReadDelivered(),
        Mark.Accepted => Effect.NewAccepted(_bytes.Int32(), _bytes.Endpoint(), _bytes.UInt16()),
        Mark.Opened => Effect.NewOpened(_bytes.Int32(), _bytes.UInt16()),
        Mark.Writable => Effect.NewWritable(_bytes.Int32(), _bytes.Int32()),
        Mark.Ended => Effect.NewEnded(_bytes.Int32()),
        Mark.Finished => Effect.NewFinished(_bytes.Int32()),
        Mark.Closed => Effect.NewClosed(_bytes.Int32(), Reasons[_bytes.Byte()]),
        Mark.Foreign => Effect.NewForeign(_bytes.Endpoint(), new Borrowed(_bytes.Bytes(_bytes.Int32()).ToArray())),
        Mark.Noted => ReadNoted(),
        Mark.Effect => (Effect)_bytes.Object(),
        _ => throw new SwitchExpressionException(mark),
    };

    private Event ReadReceived()
    {
        var from = _bytes.Endpoint();
        var arrivedAt = _bytes.Int64();
        var segment = _bytes.Int32();
        var length = _bytes.Int32();
        var behind = _bytes.Int32();

        // In the buffer of the run before it, when it was there; the buffer is as long as the transport's.
        var fits = _previous is not null && behind >= _previous.Length && _previous.Offset + behind + length <= _previous.Buffer.Length;
        var buffer = fits ? _previous!.Buffer : new byte[Math.Max(length, Slab.Size)];
        var offset = fits ? _previous!.Offset + behind : 0;
        var target = buffer.AsSpan(offset, length);
        var datagrams = new Datagrams(buffer, offset, length, segment, arrivedAt);
        if (full)
        {
            _bytes.Bytes(length).CopyTo(target);
            return Event.NewReceived(from, datagrams);
        }

        for (var index = 0; index < datagrams.Count; index++)
        {
            var datagram = target[(index * segment)..Math.Min(length, (index + 1) * segment)];
            var head = _bytes.UInt16();
            _bytes.Bytes(head == Recorder.Raw ? datagram.Length : head).CopyTo(datagram);
            if (head < datagram.Length)
            {
                hashes.Enqueue(_bytes.UInt64());
            }
        }

        return Event.NewReceived(from, datagrams);
    }

    private Train ReadTrain()
    {
        var head = _bytes.Bytes(_bytes.UInt16()).ToArray();
        PacketModule.decode(new Borrowed(head), out var packet);
        var mayFragment = _bytes.Byte() == 1;
        var packetSize = _bytes.Int32();
        var length = _bytes.Int32();
        if (full)
        {
            return Make(new Owned(_bytes.Bytes(length).ToArray()));
        }

        var train = Make(new Owned(new byte[length]));
        for (var count = length == 0 ? 0 : train.Count; count > 0; count--)
        {
            hashes.Enqueue(_bytes.UInt64());
        }

        return train;

        Train Make(Owned payload) => new(packet.Header, BorrowedModule.keep(packet.Sack), packet.Bits, payload, packetSize, mayFragment);
    }

    private Effect ReadDelivered()
    {
        var connId = _bytes.Int32();
        var content = ReadContent();
        return Effect.NewDeliver(connId, new Payload(content.Array, content.Offset, content.Length, content.Length, content.Length));
    }

    private Effect ReadNoted()
    {
        var rule = Rules[_bytes.Byte()];
        return Effect.NewNoted(rule, _bytes.Endpoint());
    }

    private Owned ReadContent()
    {
        var length = _bytes.Int32();
        return new Owned(full ? _bytes.Bytes(length).ToArray() : new byte[length]);
    }

    // The cases of a union that hold nothing, by their tags.
    private static T[] Values<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)] T>(Func<T, int> tag) =>
        [.. typeof(T).GetProperties().Where(property => property.PropertyType == typeof(T)).Select(property => (T)property.GetValue(null)!).OrderBy(tag)];
}
