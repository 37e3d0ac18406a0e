using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>
/// A network in memory, for tests of programs that use this library: its nodes and servers have addresses and ports, but no sockets, so tests need no
/// free ports, no permissions, and run side by side. It can lose and delay datagrams. All members may be called from any thread.
/// </summary>
/// <remarks>Time is the real one: a node waits for a lost datagram as long as over a socket. Whole networks with NATs, in simulated time and from a seed, are
/// what the package UtpPunch.Sim is for.</remarks>
/// <example><code>
/// var network = new UtpMemoryNetwork { LossRate = 0.01, Latency = TimeSpan.FromMilliseconds(5) };
/// await using var server = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = network.Bind });
/// await using var client = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = network.Bind });
/// await using var listener = server.Listen();
/// await using var stream = await client.ConnectAsync(server.LocalEndPoint);
/// </code></example>
public sealed class UtpMemoryNetwork
{
    private const int FirstPort = 49152;

    private readonly Lock _gate = new();
    private readonly Dictionary<IPEndPoint, Port> _ports = [];
    private readonly Queue<Datagram> _inTransit = new();
    private readonly Random _random;
    private double _lossRate;
    private TimeSpan _latency;
    private int _maxDatagramSize = 1472;
    private int _hosts;
    private int _nextPort = FirstPort;
    private long _lost;

    /// <summary>Creates a network without hosts.</summary>
    /// <param name="seed">Which datagrams are lost follows from it and their order, if <see cref="LossRate"/> is not 0.</param>
    public UtpMemoryNetwork(int seed = 0) => _random = new Random(seed);

    /// <summary>Gets or sets the part of all datagrams that are lost, drawn independently for each.</summary>
    /// <value>The default is 0. The range is 0 to 1.</value>
    public double LossRate
    {
        get => Volatile.Read(ref _lossRate);
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 1);
            Volatile.Write(ref _lossRate, value);
        }
    }

    /// <summary>Gets or sets how long a datagram is in transit, at least. Datagrams stay in order.</summary>
    /// <value>The default is zero: a datagram is received at once. The range is zero to a minute.</value>
    public TimeSpan Latency
    {
        get
        {
            lock (_gate)
            {
                return _latency;
            }
        }

        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.Zero);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, TimeSpan.FromMinutes(1));
            lock (_gate)
            {
                _latency = value;
            }
        }
    }

    /// <summary>Gets or sets the size of the largest datagram that the network carries, in bytes of UDP payload.</summary>
    /// <value>The default is 1472: Ethernet's, with IPv4. The range is 1200 to 65507.</value>
    public int MaxDatagramSize
    {
        get => Volatile.Read(ref _maxDatagramSize);
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1200);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 65507);
            Volatile.Write(ref _maxDatagramSize, value);
        }
    }

    /// <summary>Gets or sets which datagrams pass, by source and destination: a firewall, or a network that is cut. It is called on the thread of the sender and
    /// must not block.</summary>
    /// <value>The default is <see langword="null"/>: all pass.</value>
    public Func<IPEndPoint, IPEndPoint, bool>? Passes { get; set; }

    /// <summary>Gets the number of datagrams that were lost: by <see cref="LossRate"/>, by <see cref="Passes"/>, and those to an address that nothing is bound
    /// to.</summary>
    public long DatagramsLost => Volatile.Read(ref _lost);

    /// <summary>Binds a transport to an address. It is meant for <see cref="UtpNodeOptions.TransportFactory"/> and
    /// <see cref="UtpRendezvousServerOptions.TransportFactory"/>.</summary>
    /// <param name="localEndPoint">The address and port. A wildcard address is that of a host of its own, <c>10.0.0.1</c>, <c>10.0.0.2</c> and so on, or
    /// <c>fd00::1</c>, <c>fd00::2</c>; with port 0 the network chooses one.</param>
    /// <returns>The transport. It is unbound when it is disposed.</returns>
    /// <exception cref="SocketException"><see cref="SocketError.AddressAlreadyInUse"/>: another transport has the address and port.</exception>
    public UtpDatagramTransport Bind(IPEndPoint localEndPoint)
    {
        ArgumentNullException.ThrowIfNull(localEndPoint);
        lock (_gate)
        {
            var address = SocketFactory.IsWildcard(localEndPoint.Address) ? HostAddress(localEndPoint.AddressFamily) : localEndPoint.Address;
            var local = new IPEndPoint(address, localEndPoint.Port == 0 ? _nextPort++ : localEndPoint.Port);
            var port = new Port(this, local);
            return _ports.TryAdd(local, port) ? port : throw new SocketException((int)SocketError.AddressAlreadyInUse);
        }
    }

    private IPAddress HostAddress(AddressFamily family)
    {
        var number = ++_hosts;
        var (high, low) = ((byte)(number >> 8), (byte)number);
        return family == AddressFamily.InterNetwork
            ? new IPAddress([10, 0, high, low])
            : new IPAddress([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low]);
    }

    private void Send(IPEndPoint from, IPEndPoint to, ReadOnlySpan<byte> datagram)
    {
        if (datagram.Length > MaxDatagramSize)
        {
            throw new SocketException((int)SocketError.MessageSize);
        }

        var passes = Passes?.Invoke(from, to) ?? true;
        Port? port;
        lock (_gate)
        {
            if (!passes || (_lossRate > 0 && _random.NextDouble() < _lossRate) || !_ports.TryGetValue(to, out port))
            {
                _lost++;
                return;
            }

            if (_latency > TimeSpan.Zero || _inTransit.Count > 0)
            {
                _inTransit.Enqueue(new Datagram(from, port, datagram.ToArray(), Clock.Now + Clock.ToMicroseconds(_latency)));
                if (_inTransit.Count == 1)
                {
                    _ = Task.Run(DeliverAsync);
                }

                return;
            }
        }

        port.Deliver(datagram, from);
    }

    /// <summary>Delivers what is in transit, until nothing is.</summary>
    private async Task DeliverAsync()
    {
        while (DeliverDue() is { } next)
        {
#pragma warning disable RS0030 // The delay is what the network is asked for.
            await Task.Delay(Clock.MillisecondsUntil(next)).ConfigureAwait(false);
#pragma warning restore RS0030
        }
    }

    /// <returns>When the next datagram is due; <see langword="null"/> if none is in transit.</returns>
    private long? DeliverDue()
    {
        lock (_gate)
        {
            while (_inTransit.TryPeek(out var first))
            {
                if (first.At > Clock.Now)
                {
                    return first.At;
                }

                // Before it leaves the queue: a later datagram must not overtake it.
                first.To.Deliver(first.Bytes, first.From);
                _inTransit.Dequeue();
            }

            return null;
        }
    }

    private void Unbind(Port port)
    {
        lock (_gate)
        {
            _ports.Remove(port.LocalEndPoint);
        }
    }

    private readonly record struct Datagram(IPEndPoint From, Port To, byte[] Bytes, long At);

    private sealed class Port(UtpMemoryNetwork network, IPEndPoint local) : UtpDatagramTransport
    {
        public override IPEndPoint LocalEndPoint => local;

        public override void Send(ReadOnlySpan<byte> datagram, IPEndPoint remoteEndPoint, int hopLimit) =>
            network.Send(local, remoteEndPoint, datagram);

        public void Deliver(ReadOnlySpan<byte> datagram, IPEndPoint from) => OnReceived(datagram, from);

        protected override void Dispose(bool disposing)
        {
            network.Unbind(this);
            base.Dispose(disposing);
        }
    }
}
