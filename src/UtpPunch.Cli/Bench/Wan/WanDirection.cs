using UtpPunch.Sim;
using EndpointModule = UtpPunch.Protocol.EndpointModule;
using SimPath = UtpPunch.Sim.Path;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// One direction of a path in real time: the simulator's <see cref="Carrier"/>, which decides, and the bytes of the packets under way. All
/// times are microseconds of the link's clock. Departures are processed at their own times, however late this thread wakes up, so that the
/// rate is exact.
/// </summary>
internal sealed class WanDirection : ICarrierHost
{
    /// <summary>The carrier adds these to the length of a datagram: the headers of IPv4 and UDP.</summary>
    private const int Headers = 28;
    private const int LargestPacket = 2048;
    private const long Never = long.MaxValue;

    // The carrier reads nothing of a datagram but its length and its first byte, so packets of one length share their bytes.
    private static readonly byte[][] s_lengths = [.. Enumerable.Range(0, LargestPacket).Select(length => new byte[length])];
    private static readonly UtpPunch.Protocol.Endpoint s_anyone = EndpointModule.ofIPv4(0, 0);

    private readonly Carrier _carrier;
    private readonly int _from;
    private readonly int _to;
    private readonly Queue<(long Due, int Slot)> _underWay = new();
    private readonly Stack<int> _free = new();
    private readonly List<(byte[] Bytes, int Length)> _slots = [];
    private long _departure = Never;

    public WanDirection(SimPath path, ulong seed, int from, int to)
    {
        _carrier = new Carrier(path, seed, Never, this);
        _from = from;
        _to = to;
    }

    public LinkMeter Meter { get; } = new();

    /// <summary>When it has something to do; never, if nothing is under way.</summary>
    public long Due => Math.Min(_departure, _underWay.TryPeek(out var next) ? next.Due : Never);

    public void Change(SimPath path) => _carrier.Path = path;

    /// <summary>Takes what the sending host has sent, at most one batch; false if there was nothing.</summary>
    public bool Take(long now, int most)
    {
        Depart(now);
        for (var count = 0; count < most; count++)
        {
            var slot = _free.TryPop(out var used) ? used : Add();
            var bytes = _slots[slot].Bytes;
            var length = Kernel.Read(_from, bytes);
            if (length <= 0)
            {
                _free.Push(slot);
                return count > 0;
            }

            _slots[slot] = (bytes, length);
            Meter.Offered();
            _carrier.Offer(now, new Datagram(slot, s_anyone, s_anyone, s_lengths[Math.Max(0, length - Headers)], now));
        }

        return true;
    }

    /// <summary>Hands what is due to the receiving host.</summary>
    public void Hand(long now)
    {
        Depart(now);
        while (_underWay.TryPeek(out var next) && next.Due <= now)
        {
            _underWay.Dequeue();
            Meter.Late(now - next.Due);
            var (bytes, length) = _slots[next.Slot];
            Kernel.Write(_to, bytes.AsSpan(0, length));
            _free.Push(next.Slot);
        }
    }

    void ICarrierHost.Arrive(long at, Datagram datagram, long waited, int copy)
    {
        Meter.Waited(waited);
        _underWay.Enqueue((at, (int)datagram.Number));
    }

    void ICarrierHost.Lost(Datagram datagram, string cause)
    {
        if (cause == "queue")
        {
            Meter.Overflowed();
        }

        _free.Push((int)datagram.Number);
    }

    void ICarrierHost.DepartAt(long at) => _departure = at;

    private void Depart(long now)
    {
        while (_departure <= now)
        {
            var at = _departure;
            _departure = Never;
            _carrier.Depart(at);
        }
    }

    private int Add()
    {
        _slots.Add((new byte[LargestPacket], 0));
        return _slots.Count - 1;
    }
}
