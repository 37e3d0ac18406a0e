using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Which way a datagram goes through the relay.</summary>
public enum RelayDirection { ToTarget, ToClient }

/// <summary>The faults of one direction. The default forwards everything at once.</summary>
public sealed record RelayPath
{
    /// <value>The fraction of datagrams that is lost, 0 to 1.</value>
    public double Loss { get; init; }

    /// <value>The delay of every datagram.</value>
    public TimeSpan Delay { get; init; }

    /// <value>The most random additional delay, which reorders datagrams.</value>
    public TimeSpan Shuffle { get; init; }

    /// <value>The rate of the bottleneck, in bytes of UDP payload per second; 0 is none.</value>
    public long BytesPerSecond { get; init; }

    /// <value>The queue of the bottleneck; more is dropped.</value>
    public int QueueBytes { get; init; } = 256 * 1024;
}

/// <summary>Decides by the content of a datagram; true drops it. The ordinal counts from 0 in each direction.</summary>
public delegate bool RelayDrop(RelayDirection direction, int ordinal, ReadOnlyMemory<byte> datagram);

/// <summary>
/// A network with faults: clients send to <see cref="EndPoint"/>, and the relay forwards their datagrams to one target and back, with loss,
/// delay, reordering and a rate limit. Each client has its own socket towards the target, as behind a NAT. What happens to a datagram follows
/// from the seed, its direction and its ordinal alone, so that a failed run can be repeated. One thread does all the work; memory is
/// bounded.
/// </summary>
public sealed class UdpRelay : IDisposable
{
    private const int MaxClients = 1024;
    private const int MaxWaitingBytes = 64 * 1024 * 1024;
    private static readonly TimeSpan LongestSleep = TimeSpan.FromMilliseconds(50);

    private readonly Socket _front = Bind();
    private readonly Dictionary<SocketAddress, Client> _clientsByAddress = [];
    private readonly Dictionary<Socket, Client> _clientsBySocket = [];
    private readonly PriorityQueue<Waiting, (long Due, long Order)> _waiting = new();
    private readonly Lane[] _lanes;
    private readonly SocketAddress _target;
    private readonly RelayDrop? _drop;
    private readonly ulong _seed;
    private readonly Thread _thread;
    private readonly byte[] _buffer = new byte[65536];
    private readonly SocketAddress _from = new(AddressFamily.InterNetwork);
    private long _order;
    private int _waitingBytes;
    private volatile bool _disposed;

    /// <summary>Starts to relay to <paramref name="target"/>. A null path has no faults.</summary>
    public UdpRelay(IPEndPoint target, RelayPath? toTarget = null, RelayPath? toClient = null, int seed = 1, RelayDrop? drop = null)
    {
        _target = target.Serialize();
        _lanes = [new Lane(RelayDirection.ToTarget, toTarget), new Lane(RelayDirection.ToClient, toClient)];
        _drop = drop;
        _seed = (ulong)seed;
        EndPoint = (IPEndPoint)_front.LocalEndPoint!;
        _thread = new Thread(Run) { IsBackground = true, Name = $"relay {EndPoint.Port}" };
        _thread.Start();
    }

    /// <summary>The same path both ways.</summary>
    public static UdpRelay Symmetric(IPEndPoint target, RelayPath path, int seed = 1) => new(target, path, path, seed);

    /// <summary>The address to which clients send.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>The path towards the target; it may be replaced at any time, and applies to later datagrams.</summary>
    public RelayPath ToTarget { get => _lanes[0].Path; set => _lanes[0].Path = value; }

    /// <summary>The path back to the clients.</summary>
    public RelayPath ToClient { get => _lanes[1].Path; set => _lanes[1].Path = value; }

    /// <summary>The counts of one direction so far.</summary>
    public RelayCounts Counts(RelayDirection direction)
    {
        var lane = _lanes[(int)direction];
        return new RelayCounts(lane.Ordinal, lane.Forwarded, lane.Dropped, lane.Overflowed);
    }

    /// <summary>Stops, and waits for the thread; queued datagrams are lost.</summary>
    public void Dispose()
    {
        _disposed = true;
        _thread.Join();
    }

    private void Run()
    {
        try
        {
            var ready = new List<Socket>();
            while (!_disposed)
            {
                ready.Clear();
                ready.Add(_front);
                ready.AddRange(_clientsBySocket.Keys);
                Socket.Select(ready, null, null, UntilNextDue());
                foreach (var socket in ready)
                {
                    Drain(socket);
                }

                SendDue();
            }
        }
        finally
        {
            foreach (var client in _clientsBySocket.Values)
            {
                client.Socket.Dispose();
            }

            _front.Dispose();
        }
    }

    // Whole milliseconds, rounded up: the system call counts in them, and rounding down would spin.
    private TimeSpan UntilNextDue()
    {
        if (!_waiting.TryPeek(out _, out var next))
        {
            return LongestSleep;
        }

        var wait = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), next.Due);
        return wait <= TimeSpan.Zero ? TimeSpan.Zero
             : wait >= LongestSleep ? LongestSleep
             : TimeSpan.FromMilliseconds(Math.Ceiling(wait.TotalMilliseconds));
    }

    private void Drain(Socket socket)
    {
        // Bounded, so that one busy client does not delay datagrams that are due.
        for (var i = 0; i < 64; i++)
        {
            int length;
            try
            {
                length = socket.ReceiveFrom(_buffer, SocketFlags.None, _from);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
            {
                return;
            }
            catch (SocketException)
            {
                continue;                                   // an ICMP error of an earlier send, on some systems
            }

            var datagram = _buffer.AsMemory(0, length);
            if (socket != _front)
            {
                Carry(_lanes[1], _clientsBySocket[socket], datagram);
            }
            else if (ClientAt(_from) is { } client)
            {
                Carry(_lanes[0], client, datagram);
            }
        }
    }

    private Client? ClientAt(SocketAddress address)
    {
        if (!_clientsByAddress.TryGetValue(address, out var client) && _clientsByAddress.Count < MaxClients)
        {
            var key = new SocketAddress(address.Family, address.Size);
            address.Buffer.CopyTo(key.Buffer);
            client = new Client(Bind(), key);
            _clientsByAddress.Add(key, client);
            _clientsBySocket.Add(client.Socket, client);
        }

        return client;
    }

    private void Carry(Lane lane, Client client, ReadOnlyMemory<byte> datagram)
    {
        var ordinal = lane.Ordinal++;
        var path = lane.Path;
        if ((_drop is not null && _drop(lane.Direction, ordinal, datagram)) || Draw(lane, ordinal, 0) < path.Loss)
        {
            lane.Dropped++;
            return;
        }

        var now = Stopwatch.GetTimestamp();
        var due = now;
        if (path.BytesPerSecond > 0)
        {
            var start = Math.Max(now, lane.FreeAt);
            var waitingBytes = (double)(start - now) / Stopwatch.Frequency * path.BytesPerSecond;
            if (waitingBytes + datagram.Length > path.QueueBytes)
            {
                lane.Overflowed++;
                return;
            }

            due = lane.FreeAt = start + (datagram.Length * Stopwatch.Frequency / path.BytesPerSecond);
        }

        due += Ticks(path.Delay) + (long)(Draw(lane, ordinal, 1) * Ticks(path.Shuffle));
        if (due <= now)
        {
            Send(lane, client, datagram.Span);
        }
        else if (_waitingBytes + datagram.Length > MaxWaitingBytes)
        {
            lane.Overflowed++;
        }
        else
        {
            _waitingBytes += datagram.Length;
            _waiting.Enqueue(new Waiting(lane, client, datagram.ToArray()), (due, _order++));
        }
    }

    private void SendDue()
    {
        while (_waiting.TryPeek(out var next, out var priority) && priority.Due <= Stopwatch.GetTimestamp())
        {
            _waiting.Dequeue();
            _waitingBytes -= next.Datagram.Length;
            Send(next.Lane, next.Client, next.Datagram);
        }
    }

    private void Send(Lane lane, Client client, ReadOnlySpan<byte> datagram)
    {
        try
        {
            var toTarget = lane.Direction == RelayDirection.ToTarget;
            (toTarget ? client.Socket : _front).SendTo(datagram, SocketFlags.None, toTarget ? _target : client.Address);
            lane.Forwarded++;
        }
        catch (SocketException)
        {
            lane.Overflowed++;                        // a full send buffer is loss, as it is on a network
        }
    }

    // Uniform in [0, 1), from the key alone (the finisher of SplitMix64).
    private double Draw(Lane lane, int ordinal, int purpose)
    {
        var x = (_seed * 0x9E3779B97F4A7C15) + ((ulong)(uint)ordinal << 8) + ((ulong)lane.Direction << 4) + (ulong)purpose;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return ((x ^ (x >> 31)) >> 11) * (1.0 / (1UL << 53));
    }

    private static long Ticks(TimeSpan span) => span.Ticks * (Stopwatch.Frequency / TimeSpan.TicksPerSecond);

    private static Socket Bind()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)
        {
            Blocking = false,
            ReceiveBufferSize = 4 * 1024 * 1024,
            SendBufferSize = 4 * 1024 * 1024,
        };
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    private sealed record Client(Socket Socket, SocketAddress Address);

    private readonly record struct Waiting(Lane Lane, Client Client, byte[] Datagram);

    // Only the relay's thread writes.
    private sealed class Lane(RelayDirection direction, RelayPath? path)
    {
        private volatile RelayPath _path = path ?? new RelayPath();

        public RelayDirection Direction { get; } = direction;
        public RelayPath Path { get => _path; set => _path = value; }
        public int Ordinal { get; set; }
        public long FreeAt { get; set; }
        public long Forwarded { get; set; }
        public long Dropped { get; set; }
        public long Overflowed { get; set; }
    }
}

/// <summary>What a relay did with the datagrams of one direction; the rest still waits.</summary>
public readonly record struct RelayCounts(long Received, long Forwarded, long Dropped, long Overflowed);
