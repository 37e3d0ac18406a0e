namespace UtpPunch;

/// <summary>The streams of a node by the core's names. Under the loop lock.</summary>
internal sealed class StreamTable
{
    private readonly Dictionary<int, UtpStream> _streams = [];

    // Accepted streams have odd names, which the core gives.
    private int _nextConnId = 2;

    public int Count => _streams.Count;

    public IReadOnlyCollection<int> ConnIds => _streams.Keys;

    public IReadOnlyCollection<UtpStream> All => _streams.Values;

    /// <summary>Adds a dialled stream, and names it: names count up in the order of the connects, and begin again after 2^30.</summary>
    public int Add(UtpStream stream)
    {
        var connId = _nextConnId;
        while (!_streams.TryAdd(connId, stream))
        {
            connId = Next(connId);
        }

        _nextConnId = Next(connId);
        return connId;
    }

    public void AddAccepted(int connId, UtpStream stream) => _streams.Add(connId, stream);

    public UtpStream? Find(int connId) => _streams.GetValueOrDefault(connId);

    public UtpStream? Remove(int connId) => _streams.Remove(connId, out var stream) ? stream : null;

    public void Clear() => _streams.Clear();

    private static int Next(int connId) => (connId + 2) & int.MaxValue;
}
