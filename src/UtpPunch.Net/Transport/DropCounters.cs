using System.Collections.Concurrent;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>Counts the datagrams that the system has not sent, by the error. One thread counts, any may read.</summary>
internal sealed class DropCounters
{
    private readonly ConcurrentDictionary<SocketError, long> _counts = new();
    private long _total;

    public long Total => Volatile.Read(ref _total);

    public IReadOnlyCollection<KeyValuePair<SocketError, long>> ByError => _counts.ToArray();

    public void Add(SocketError error, int count)
    {
        // A transport of an application may have numbers of its own, which must not become names without a bound.
        Count(Enum.IsDefined(error) ? error : SocketError.SocketError, count);
    }

    /// <summary>Adds what others have counted.</summary>
    public void Add(DropCounters others)
    {
        foreach (var (error, count) in others.ByError)
        {
            Count(error, count);
        }
    }

    private void Count(SocketError error, long count)
    {
        Volatile.Write(ref _total, _total + count);
        _counts.AddOrUpdate(error, static (_, count) => count, static (_, sum, count) => sum + count, count);
    }
}
