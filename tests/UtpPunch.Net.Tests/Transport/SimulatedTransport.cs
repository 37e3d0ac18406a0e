using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;
using UtpPunch.Tracing;
using UtpPunch.Sim;
using Socket = System.Net.Sockets.Socket;

namespace UtpPunch.Tests;

/// <summary>Two hosts and the paths between them, out of nothing but memory: the faults are those of the simulator and follow from a seed,
/// the clock is the real one.</summary>
internal sealed class SimulatedNetwork
{
    private readonly SimulatedTransport _a;
    private readonly SimulatedTransport _b;

    public SimulatedNetwork(Sim.Path path, ulong seed)
    {
        var (there, back) = (new SimulatedPath(path, seed), new SimulatedPath(path, Keyed.mix(seed)));
        _a = new SimulatedTransport(IPEndPoint.Parse("10.0.0.1:5000"), there, back);
        _b = new SimulatedTransport(IPEndPoint.Parse("10.0.0.2:6000"), back, there);
    }

    /// <summary>Whether nothing passes, in either direction.</summary>
    public bool IsCut
    {
        set => _a.Out.IsCut = _b.Out.IsCut = value;
    }

    /// <summary>How many datagrams got lost, in both directions.</summary>
    public long Lost => _a.Out.Lost + _b.Out.Lost;

    /// <summary>Two nodes on it, and a stream between them.</summary>
    public async Task<(UtpNode Client, UtpNode Server, UtpStream Near, UtpStream Far)> OpenAsync(UtpNodeOptions? options = null)
    {
        var settings = UtpNodeOptionsCheck.Freeze(options ?? new UtpNodeOptions());
        var (client, server) = (UtpNode.Over(_a, settings), UtpNode.Over(_b, settings));
        var accepting = server.Listen().AcceptAsync().AsTask();
        var near = await client.ConnectAsync(server.LocalEndPoint).Within();
        return (client, server, near, await accepting.Within());
    }
}

/// <summary>One direction. Datagrams in transit are kept here until they are due; the receiver's waits deliver them.</summary>
internal sealed class SimulatedPath : ICarrierHost
{
    private readonly object _gate = new();
    private readonly PriorityQueue<Datagram?, (long At, long Order)> _due = new();
    private readonly Queue<(Datagram Datagram, long At)> _arrived = new();
    private readonly Carrier _carrier;
    private long _order;
    private long _lost;
    private bool _isCut;
    private bool _woken;

    public SimulatedPath(Sim.Path path, ulong seed) => _carrier = new Carrier(path, seed, Time.never, this);

    public bool IsCut
    {
        set
        {
            lock (_gate)
            {
                _isCut = value;
            }
        }
    }

    public long Lost => Volatile.Read(ref _lost);

    public void Offer(Endpoint from, Endpoint target, byte[] bytes)
    {
        lock (_gate)
        {
            var now = Clock.Now;
            var datagram = new Datagram(_order++, from, target, bytes, now);
            if (_isCut)
            {
                _lost++;
            }
            else
            {
                Settle(now);
                _carrier.Offer(now, datagram);
            }

            Monitor.Pulse(_gate);
        }
    }

    public bool Wait(long microseconds)
    {
        lock (_gate)
        {
            var until = Clock.After(Clock.Now, microseconds);
            while (true)
            {
                var now = Clock.Now;
                Settle(now);
                if (_woken || _arrived.Count > 0 || now >= until)
                {
                    var any = _woken || _arrived.Count > 0;
                    _woken = false;
                    return any;
                }

                var next = _due.TryPeek(out _, out var first) ? Math.Min(first.At, until) : until;
                Monitor.Wait(_gate, (int)Math.Min(int.MaxValue, ((next - now) / 1000) + 1));
            }
        }
    }

    public void Wake()
    {
        lock (_gate)
        {
            _woken = true;
            Monitor.Pulse(_gate);
        }
    }

    public bool TryTake(out (Datagram Datagram, long At) arrived)
    {
        lock (_gate)
        {
            return _arrived.TryDequeue(out arrived);
        }
    }

    void ICarrierHost.Arrive(long at, Datagram datagram, long waited, int copy) => _due.Enqueue(datagram, (at, _order++));

    void ICarrierHost.Lost(Datagram datagram, string cause) => _lost++;

    void ICarrierHost.DepartAt(long at) => _due.Enqueue(null, (at, _order++));

    // Whatever has fallen due happens, at its own time.
    private void Settle(long now)
    {
        while (_due.TryPeek(out var datagram, out var when) && when.At <= now)
        {
            _due.Dequeue();
            if (datagram is null)
            {
                _carrier.Depart(when.At);
            }
            else
            {
                _arrived.Enqueue((datagram, when.At));
            }
        }
    }
}

/// <summary>A transport without a socket, at one end of two paths.</summary>
internal sealed class SimulatedTransport(IPEndPoint local, SimulatedPath outgoing, SimulatedPath incoming) : IDatagramTransport
{
    private readonly Endpoint _local = Addresses.ToEndpoint(local);
    private readonly ReceivedRuns _runs = new();

    public SimulatedPath Out => outgoing;

    public IPEndPoint LocalEndPoint => local;

    public Endpoint From(IPAddress own, Endpoint remote) => remote;

    public IPEndPoint LocalEndPointOf(Endpoint remote) => local;

    public Socket? Socket => null;

    public DropCounters Drops { get; } = new();

    public BufferSizes BufferSizes => default;

    public bool Speaks(Endpoint remote) => EndpointModule.isIPv4(remote);

    public void Adopt()
    {
    }

    public List<Event> News { get; } = [];

    public void Prepare()
    {
    }

    public bool Wait(long microseconds) => incoming.Wait(microseconds);

    public void Wake() => incoming.Wake();

    public void Receive(List<Event> received, List<Slab> slabs)
    {
        _runs.Begin(received);
        while (incoming.TryTake(out var arrived))
        {
            var bytes = arrived.Datagram.Bytes;
            bytes.CopyTo(_runs.Room(bytes.Length));
            _runs.Add(arrived.Datagram.From, bytes.Length, bytes.Length, arrived.At);
        }

        _runs.Flush();
    }

    public bool Send(Endpoint remote, Train train)
    {
        for (var index = 0; index < train.Count; index++)
        {
            var bytes = new byte[train.LengthOf(index)];
            train.Write(index, bytes);
            outgoing.Offer(_local, remote, bytes);
        }

        return true;
    }

    public void SendAlone(Endpoint remote, long microseconds)
    {
    }

    public SocketException? Send(Endpoint remote, ReadOnlySpan<byte> datagram, int hops = 0)
    {
        outgoing.Offer(_local, remote, datagram.ToArray());
        return null;
    }

    public void OpenSockets(int first, int count)
    {
    }

    public void CloseSockets(int first, int count, int keep)
    {
    }

    public void Dispose()
    {
    }
}
