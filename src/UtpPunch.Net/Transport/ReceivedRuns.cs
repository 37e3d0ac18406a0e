using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Copies received datagrams behind one another into slabs, and joins consecutive ones of one source and one size that arrived together, at
/// one address, to one <see cref="Datagrams"/>, of which the last may be shorter. What was used of a slab is never written again.
/// </summary>
internal sealed class ReceivedRuns
{
    // A run has one time of arrival, that of its first datagram. For the others it is early by at most this, in microseconds; LEDBAT, whose
    // base delay is the least that was seen, would take more for a faster path.
    private const long Together = 1000;

    private byte[] _slab = [];
    private int _used;
    private Endpoint _source;
    private int _start;
    private int _segment;
    private long _arrivedAt;
    private bool _open;
    private List<Event> _received = [];

    /// <summary>Adds the runs to a list from now on.</summary>
    public void Begin(List<Event> received) => _received = received;

    /// <summary>Returns the unused rest of a slab, with room for at least <paramref name="least"/> bytes.</summary>
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

    /// <summary>Adds datagrams of one size that were received into the room; the last one may be shorter.</summary>
    public void Add(Endpoint source, int length, int segment, long arrivedAt)
    {
        segment = Math.Max(1, segment);
        if (!_open || length == 0 || segment > _segment || (segment < _segment && length > segment) || !source.Equals(_source)
            || source.Local != _source.Local || arrivedAt - _arrivedAt > Together)
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
