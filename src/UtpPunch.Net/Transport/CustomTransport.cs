using System.Buffers;
using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The transports of an application, as a node or a server uses sockets.</summary>
internal sealed class CustomTransport : IDatagramTransport
{
    private const int MaxKnownAddresses = 4096;

    // What an entry takes beside its payload, so that empty datagrams count, too.
    private const int Overhead = 64;

    private readonly UtpDatagramTransport[] _parts;
    private readonly long _receiveBuffer;
    private readonly object _gate = new();
    private readonly Queue<Arrived> _arrived = new();
    private readonly Dictionary<Endpoint, IPEndPoint> _addresses = [];
    private readonly ReceivedRuns _runs = new();
    private readonly byte[] _packet = new byte[ExtensionBits.Most];
    private long _held;
    private bool _woken;

    /// <param name="factory">The application's.</param>
    /// <param name="locals">The addresses that are to be bound; the numbers of the transports (<see cref="Endpoint.Via"/>) are in their order.</param>
    /// <param name="receiveBuffer">The size of the receive buffer, in bytes.</param>
    public CustomTransport(Func<IPEndPoint, UtpDatagramTransport> factory, IReadOnlyList<IPEndPoint> locals, int receiveBuffer)
    {
        _receiveBuffer = receiveBuffer;
        var parts = new List<UtpDatagramTransport>();
        try
        {
            foreach (var local in locals)
            {
                var part = factory(local) ?? throw new InvalidOperationException("The factory of the transport has returned none.");
                part.Attach(this, parts.Count);
                parts.Add(part);
            }
        }
        catch
        {
            parts.ForEach(part => part.Dispose());
            throw;
        }

        _parts = [.. parts];
    }

    public IPEndPoint LocalEndPoint => _parts[0].LocalEndPoint;

    public Socket? Socket => null;

    public BufferSizes BufferSizes => default;

    public List<Event> News { get; } = [];

    public DropCounters Drops { get; } = new();

    public IPEndPoint LocalEndPointOf(Endpoint remote) => (PartOf(remote) ?? _parts[0]).LocalEndPoint;

    public Endpoint From(IPAddress own, Endpoint remote) => remote;

    public bool Speaks(Endpoint remote) => (PartOf(remote) ?? _parts[0]).CanSendTo(Addresses.ToIPEndPoint(remote).Address);

    public void Adopt()
    {
    }

    public void Prepare()
    {
    }

    public bool Wait(long microseconds)
    {
        lock (_gate)
        {
            if (!_woken && _arrived.Count == 0 && microseconds > 0)
            {
                Monitor.Wait(_gate, (int)Math.Min(int.MaxValue, (microseconds + 999) / 1000));
            }

            var isNews = _woken || _arrived.Count > 0;
            _woken = false;
            return isNews;
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

    /// <summary>A datagram has come. From any thread.</summary>
    public void OnReceived(ushort via, ReadOnlySpan<byte> datagram, IPEndPoint source)
    {
        var from = EndpointModule.via(via, Addresses.ToEndpoint(source));
        lock (_gate)
        {
            if (_held + datagram.Length + Overhead > _receiveBuffer || datagram.Length > ExtensionBits.Most)
            {
                return;
            }

            var bytes = ArrayPool<byte>.Shared.Rent(datagram.Length);
            datagram.CopyTo(bytes);
            _held += datagram.Length + Overhead;
            _arrived.Enqueue(new Arrived(from, bytes, datagram.Length, Clock.Now));
            Monitor.Pulse(_gate);
        }
    }

    public void Receive(List<Event> received, List<Slab> slabs)
    {
        _runs.Begin(received);
        lock (_gate)
        {
            while (_arrived.TryDequeue(out var one))
            {
                one.Bytes.AsSpan(0, one.Length).CopyTo(_runs.Room(one.Length));
                _runs.Add(one.From, one.Length, one.Length, one.At);
                ArrayPool<byte>.Shared.Return(one.Bytes);
            }

            _held = 0;
        }

        _runs.Flush();
    }

    public bool Send(Endpoint remote, Train train)
    {
        var wasTooLong = false;
        for (var index = 0; index < train.Count; index++)
        {
            var length = train.Write(index, _packet);
            if (Send(remote, _packet.AsSpan(0, length)) is not { SocketErrorCode: var error })
            {
                continue;
            }

            if (error.IsTooLong() && !wasTooLong)
            {
                wasTooLong = true;
                News.Add(Event.NewTooLong(remote, length, 0));
            }
            else if (error.IsNoWay())
            {
                Drops.Add(error, train.Count - index - 1);
                return false;
            }
        }

        return true;
    }

    public void SendAlone(Endpoint remote, long microseconds)
    {
    }

    public SocketException? Send(Endpoint remote, ReadOnlySpan<byte> datagram, int hops = 0)
    {
        if (PartOf(remote) is not { } part)
        {
            return new SocketException((int)SocketError.NotSocket);
        }

        try
        {
            part.Send(datagram, AddressOf(remote), hops);
            return null;
        }
        catch (SocketException error)
        {
            Drops.Add(error.SocketErrorCode, 1);
            return error;
        }
    }

    // Such sockets send from ports of their own, which a transport of the application does not have.
    public void OpenSockets(int first, int count)
    {
    }

    public void CloseSockets(int first, int count, int keep)
    {
    }

    public void Dispose()
    {
        foreach (var part in _parts)
        {
            part.Dispose();
        }
    }

    private UtpDatagramTransport? PartOf(Endpoint remote) => remote.Via < _parts.Length ? _parts[remote.Via] : null;

    private IPEndPoint AddressOf(Endpoint remote)
    {
        if (_addresses.TryGetValue(remote, out var known))
        {
            return known;
        }

        if (_addresses.Count >= MaxKnownAddresses)
        {
            _addresses.Clear();
        }

        return _addresses[remote] = Addresses.ToIPEndPoint(remote);
    }

    private readonly record struct Arrived(Endpoint From, byte[] Bytes, int Length, long At);
}
