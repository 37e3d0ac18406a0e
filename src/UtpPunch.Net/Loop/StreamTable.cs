using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The streams of a node by the core's names. Under the loop lock, but for what their traffic is added up from.</summary>
internal sealed class StreamTable
{
    private readonly Dictionary<int, UtpStream> _streams = [];

    // Guards changes of the table against threads that measure.
    private readonly Lock _gate = new();
    private Traffic _ended;

    // Accepted streams have odd names, which the core gives.
    private int _nextConnId = 2;

    public int Count => _streams.Count;

    public IReadOnlyCollection<int> ConnIds => _streams.Keys;

    public IReadOnlyCollection<UtpStream> All => _streams.Values;

    /// <summary>Adds a dialled stream, and names it: names count up in the order of the connects, and begin again after 2^30.</summary>
    public int Add(UtpStream stream)
    {
        lock (_gate)
        {
            var connId = _nextConnId;
            while (!_streams.TryAdd(connId, stream))
            {
                connId = Next(connId);
            }

            _nextConnId = Next(connId);
            return connId;
        }
    }

    public void AddAccepted(int connId, UtpStream stream)
    {
        lock (_gate)
        {
            _streams.Add(connId, stream);
        }
    }

    public UtpStream? Find(int connId) => _streams.GetValueOrDefault(connId);

    /// <summary>Removes a stream that the core has closed, and tells it. Its traffic counts on.</summary>
    public void Close(Effect.Closed closed, in UtpStreamStatistics statistics)
    {
        UtpStream? stream;
        lock (_gate)
        {
            _ended += UtpPunch.Traffic.Of(statistics);
            _streams.Remove(closed.connId, out stream);
        }

        stream?.OnClosed(closed.reason, statistics);
    }

    /// <summary>Removes all streams, which end with the node.</summary>
    public void Clear(Func<int, UtpStreamStatistics?> statisticsOf)
    {
        lock (_gate)
        {
            _ended = Sum(statisticsOf);
            _streams.Clear();
        }
    }

    /// <summary>What the streams have carried, those that have ended included. Any thread may ask.</summary>
    public Traffic Traffic(Func<int, UtpStreamStatistics?> statisticsOf)
    {
        lock (_gate)
        {
            return Sum(statisticsOf);
        }
    }

    private Traffic Sum(Func<int, UtpStreamStatistics?> statisticsOf)
    {
        var sum = _ended;
        foreach (var connId in _streams.Keys)
        {
            if (statisticsOf(connId) is { } statistics)
            {
                sum += UtpPunch.Traffic.Of(statistics);
            }
        }

        return sum;
    }

    private static int Next(int connId) => (connId + 2) & int.MaxValue;
}
