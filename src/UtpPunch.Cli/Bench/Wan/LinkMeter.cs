namespace UtpPunch.Cli.Bench;

/// <summary>What one direction of a link measures of itself. The link's thread adds, and another thread resets and reads.</summary>
internal sealed class LinkMeter
{
    private readonly Lock _lock = new();
    private readonly List<int> _waits = new(1 << 18);
    private readonly List<int> _delays = new(1 << 18);
    private long _offered;
    private long _overflowed;

    /// <summary>Starts anew.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _waits.Clear();
            _delays.Clear();
            _offered = 0;
            _overflowed = 0;
        }
    }

    public void Offered()
    {
        lock (_lock)
        {
            _offered++;
        }
    }

    /// <summary>A packet did not fit into the queue.</summary>
    public void Overflowed()
    {
        lock (_lock)
        {
            _overflowed++;
        }
    }

    /// <summary>A packet has left the queue.</summary>
    public void Waited(long microseconds)
    {
        lock (_lock)
        {
            _waits.Add((int)microseconds);
        }
    }

    /// <summary>A packet was handed over later than the path demands, because this machine was busy.</summary>
    public void Late(long microseconds)
    {
        lock (_lock)
        {
            _delays.Add((int)microseconds);
        }
    }

    public LinkFigures Read()
    {
        lock (_lock)
        {
            return new LinkFigures(
                Percentile(_waits, 95) / 1000.0,
                _offered == 0 ? 0 : 100.0 * _overflowed / _offered,
                Percentile(_delays, 99) / 1000.0,
                Percentile(_delays, 100) / 1000.0);
        }
    }

    private static int Percentile(List<int> values, int percent)
    {
        int[] sorted = [.. values];
        Array.Sort(sorted);
        return sorted.Length == 0 ? 0 : sorted[(int)((long)(sorted.Length - 1) * percent / 100)];
    }
}

/// <summary>Times in milliseconds, and a share in per cent.</summary>
/// <param name="QueueP95">The time in the queue, 95th percentile, with the transmission of the packet itself.</param>
/// <param name="Overflow">The packets that did not fit into the queue.</param>
/// <param name="LateP99">How late packets were handed over, 99th percentile.</param>
/// <param name="LateMost">The same, the maximum.</param>
internal readonly record struct LinkFigures(double QueueP95, double Overflow, double LateP99, double LateMost);
