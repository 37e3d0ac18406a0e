using UtpPunch.Protocol;

namespace UtpPunch.Bench;

/// <summary>
/// Carries trains packet by packet. Packets of one train with the same size arrive as one event, as with Linux' receive offload: a lost
/// packet leaves no gap, and a late packet stands behind those that overtook it.
/// </summary>
internal sealed class PacketPath(Course course, ulong seed)
{
    private const int SlabSize = 65536;
    private const int Overtaken = 3;

    // Nothing reads the delivered data, so old slabs may be overwritten.
    private readonly byte[][] _slabs = [.. Enumerable.Range(0, 4).Select(_ => new byte[SlabSize])];
    private readonly byte[] _late = new byte[SlabSize];
    private ulong _random = seed;
    private int _slab;

    /// <summary>A whole train as it arrives, in a new buffer.</summary>
    public static Event Kept(Train train, Endpoint from, long now)
    {
        var target = new List<Event>();
        new PacketPath(new Course(), seed: 1).Carry(train, from, now, target);
        return target.Single();
    }

    /// <summary>Adds what arrives to the events of the other end.</summary>
    public void Carry(Train train, Endpoint from, long now, List<Event> target)
    {
        var slab = _slabs[_slab++ % _slabs.Length];
        var run = new Run(slab, from, now, target);
        var lateLength = 0;
        var lateUntil = 0;

        for (var index = 0; index < train.Count; index++)
        {
            var chance = course.Lost + course.Reordered > 0 ? Draw() : 1000;
            if (chance < course.Lost)
            {
                continue;
            }

            if (chance < course.Lost + course.Reordered && lateLength == 0)
            {
                lateLength = train.Write(index, _late);
                lateUntil = index + Overtaken;
                continue;
            }

            run.Add(train.Write(index, run.Room));
            if (lateLength > 0 && index >= lateUntil)
            {
                lateLength = Release(ref run, lateLength);
            }
        }

        if (lateLength > 0)
        {
            Release(ref run, lateLength);
        }

        run.Flush();
    }

    private int Release(ref Run run, int length)
    {
        _late.AsSpan(0, length).CopyTo(run.Room);
        run.Add(length);
        return 0;
    }

    // SplitMix64.
    private int Draw()
    {
        var mixed = _random += 0x9E3779B97F4A7C15;
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
        return (int)((mixed ^ (mixed >> 31)) % 1000);
    }

    /// <summary>Packets of the same size, of which the last may be shorter.</summary>
    private ref struct Run(byte[] slab, Endpoint from, long now, List<Event> target)
    {
        private int _start;
        private int _length;
        private int _size;
        private bool _isClosed;

        public readonly Span<byte> Room => slab.AsSpan(_start + _length);

        public void Add(int length)
        {
            if (_length > 0 && (_isClosed || length > _size))
            {
                // It stands at the beginning of the next run.
                Flush();
            }

            _size = _length == 0 ? length : _size;
            _isClosed = length < _size;
            _length += length;
        }

        public void Flush()
        {
            if (_length > 0)
            {
                target.Add(Event.NewReceived(from, new Datagrams(slab, _start, _length, _size, now)));
                (_start, _length) = (_start + _length, 0);
            }
        }
    }
}
