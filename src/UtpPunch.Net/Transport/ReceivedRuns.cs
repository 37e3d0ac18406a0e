using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Packs received datagrams one behind the other into slabs, and joins neighbours of one source and one size that came together into one
/// <see cref="Datagrams"/> (the last may be shorter). A slab's used part is never written again: it belongs to the core.
/// </summary>
internal sealed class ReceivedRuns
{
    // A run has one time of arrival, the first one's. Of those behind it that much is forgotten, and congestion control, which goes by the
    // least delay that was ever seen, takes it for a faster path.
    private const long Together = 1000;

    private byte[] _slab = [];
    private int _used;
    private Endpoint _source;
    private int _start;
    private int _segment;
    private long _arrivedAt;
    private bool _open;
    private List<Event> _received = [];

    /// <summary>From here on, runs go into this list.</summary>
    public void Begin(List<Event> received) => _received = received;

    /// <summary>The unused rest of a slab, at least so many bytes.</summary>
    public Span<byte> Room(int least)
    {
        if (_slab.Length - _used < least)
        {
            Flush(); // A run lies in one slab.
            _slab = GC.AllocateUninitializedArray<byte>(Slab.Size);
            _used = 0;
        }

        return _slab.AsSpan(_used);
    }

    /// <summary>Datagrams of that size, the last perhaps shorter, were received into the room.</summary>
    public void Add(Endpoint source, int length, int segment, long arrivedAt)
    {
        segment = Math.Max(1, segment);
        if (!_open || length == 0 || segment > _segment || (segment < _segment && length > segment) || !source.Equals(_source)
            || arrivedAt - _arrivedAt > Together)
        {
            Flush();
            _source = source;
            _start = _used;
            _segment = segment;
            _arrivedAt = arrivedAt;
            _open = true;
        }

        _used += length;
        if (length % _segment != 0 || length == 0)
        {
            Flush();
        }
    }

    /// <summary>Ends the run under way.</summary>
    public void Flush()
    {
        if (_open)
        {
            _open = false;
            _received.Add(Event.NewReceived(_source, new Datagrams(_slab, _start, _used - _start, _segment, _arrivedAt)));
        }
    }
}
