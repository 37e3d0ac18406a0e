using System.Diagnostics;
using UtpPunch.NatLab.Network;

namespace UtpPunch.Attacks.Network;

/// <summary>
/// A link between two TUN devices that delays all packets, and drops some. The kernel's own (netem) is a module that many machines lack.
/// </summary>
internal sealed class SlowLink : IDisposable
{
    private const int LargestPacket = 65536;

    private readonly int[] _ends;
    private readonly double _loss;
    private readonly int _delayMs;
    private readonly Queue<(TimeSpan Due, int End, byte[] Packet)> _underWay = new();
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly Random _random = new(1);
    private readonly Thread _thread;
    private volatile bool _disposed;

    public SlowLink(int near, int far, int delayMs, double loss)
    {
        _ends = [near, far];
        _delayMs = delayMs;
        _loss = loss;
        _thread = new Thread(Run) { IsBackground = true, Name = "slow link" };
        _thread.Start();
    }

    public void Dispose()
    {
        _disposed = true;
        _thread.Join();
        Array.ForEach(_ends, Libc.Close);
    }

    private void Run()
    {
        var buffer = new byte[LargestPacket];
        var entries = Array.ConvertAll(_ends, end => new Libc.PollEntry { Descriptor = end, Events = Libc.PollIn });
        while (!_disposed)
        {
            Libc.Poll(entries, Timeout());
            for (var end = 0; end < entries.Length; end++)
            {
                while (entries[end].Returned != 0 && Libc.Read(_ends[end], buffer) is > 0 and var length)
                {
                    Take(end, buffer.AsSpan(0, length));
                }
            }

            while (_underWay.TryPeek(out var next) && next.Due <= _clock.Elapsed)
            {
                _underWay.Dequeue();
                Libc.Write(next.End, next.Packet);
            }
        }
    }

    private void Take(int end, Span<byte> packet)
    {
        if (_random.NextDouble() >= _loss)
        {
            _underWay.Enqueue((_clock.Elapsed + TimeSpan.FromMilliseconds(_delayMs), _ends[1 - end], packet.ToArray()));
        }
    }

    // Whole milliseconds, rounded up; at most 50, to notice the end.
    private int Timeout() =>
        _underWay.TryPeek(out var next) ? (int)Math.Clamp(Math.Ceiling((next.Due - _clock.Elapsed).TotalMilliseconds), 0, 50) : 50;
}
