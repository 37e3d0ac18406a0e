using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// A path with a delay and random losses between one client and one target on the loopback. It must be faster than what is measured over
/// it: it receives a batch before it sends what is due, keeps datagrams in a ring, and has one constant delay, so that order is kept.
/// </summary>
internal sealed class DelayRelay : IDisposable
{
    private const int Batch = 256;
    private const int SocketBuffer = 4 << 20;
    private const int LongestWaitMilliseconds = 20;

    private readonly Socket _front = Bind();
    private readonly Socket _back = Bind();
    private readonly Direction _there;
    private readonly Direction _here;
    private readonly Thread _thread;
    private volatile bool _disposed;

    public DelayRelay(int target, TimeSpan delay, double loss)
    {
        var ticks = (long)(delay.TotalSeconds * Stopwatch.Frequency);
        _there = new Direction(_front, _back, ticks, loss, seed: 1) { Target = new IPEndPoint(IPAddress.Loopback, target).Serialize() };
        _here = new Direction(_back, _front, ticks, loss, seed: 2);
        Port = ((IPEndPoint)_front.LocalEndPoint!).Port;
        _thread = new Thread(Run) { IsBackground = true, Name = "relay" };
        _thread.Start();
    }

    /// <summary>The port to which the client sends.</summary>
    public int Port { get; }

    public void Dispose()
    {
        _disposed = true;
        _thread.Join();
        _front.Dispose();
        _back.Dispose();
    }

    private void Run()
    {
        var ready = new List<Socket>(2);
        while (!_disposed)
        {
            ready.Clear();
            ready.Add(_front);
            ready.Add(_back);

            // The system call counts in whole milliseconds; rounding down would spin.
            var wait = Math.Min(_there.UntilDue(), _here.UntilDue());
            Socket.Select(ready, null, null, (int)Math.Ceiling(Math.Clamp(wait, 0, LongestWaitMilliseconds)) * 1000);
            _there.Receive(Batch);
            _here.Target ??= _there.Source;
            _here.Receive(Batch);
            _there.Send();
            _here.Send();
        }
    }

    private static Socket Bind()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)
        {
            Blocking = false,
            ReceiveBufferSize = SocketBuffer,
            SendBufferSize = SocketBuffer,
        };
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    /// <summary>One direction: a ring of bytes and a ring of datagram descriptors. If either is full, datagrams are dropped.</summary>
    private sealed class Direction(Socket from, Socket to, long delay, double loss, int seed)
    {
        private const int MaxDatagram = 65536;

        private readonly byte[] _bytes = new byte[64 << 20];
        private readonly (long Due, int Start, int Length)[] _waiting = new (long, int, int)[1 << 16];
        private readonly Random _random = new(seed);
        private readonly SocketAddress _source = new(AddressFamily.InterNetwork);
        private int _end;
        private long _first;
        private long _next;

        /// <value>The destination; null until it is known.</value>
        public SocketAddress? Target { get; set; }

        /// <summary>The sender of the last datagram; null before the first.</summary>
        public SocketAddress? Source => _next == 0 ? null : Copy(_source);

        /// <summary>Milliseconds.</summary>
        public double UntilDue() => _first == _next
            ? double.MaxValue
            : Math.Max(0, (_waiting[_first % _waiting.Length].Due - Stopwatch.GetTimestamp()) * 1000.0 / Stopwatch.Frequency);

        public void Receive(int most)
        {
            // Available is asked first, since a receive without a datagram throws.
            for (var count = 0; count < most && from.Available > 0; count++)
            {
                if (_end + MaxDatagram > _bytes.Length)
                {
                    _end = 0;
                }

                var length = from.ReceiveFrom(_bytes.AsSpan(_end, MaxDatagram), SocketFlags.None, _source);
                if (_random.NextDouble() >= loss && HasRoom(length))
                {
                    _waiting[_next++ % _waiting.Length] = (Stopwatch.GetTimestamp() + delay, _end, length);
                    _end += length;
                }
            }
        }

        public void Send()
        {
            var now = Stopwatch.GetTimestamp();
            while (_first < _next && _waiting[_first % _waiting.Length] is var next && next.Due <= now)
            {
                try
                {
                    to.SendTo(_bytes.AsSpan(next.Start, next.Length), SocketFlags.None, Target!);
                }
                catch (SocketException)
                {
                    // The destination's buffer is full, or it has gone: the datagram is lost.
                }

                _first++;
            }
        }

        // The queued bytes are fewer than the ring, so nothing is overwritten.
        private bool HasRoom(int length) =>
            _next - _first < _waiting.Length
            && (_first == _next || (_end + length - _waiting[_first % _waiting.Length].Start + _bytes.Length) % _bytes.Length < _bytes.Length - (2 * MaxDatagram));

        private static SocketAddress Copy(SocketAddress address)
        {
            var copy = new SocketAddress(address.Family, address.Size);
            address.Buffer.CopyTo(copy.Buffer);
            return copy;
        }
    }
}
