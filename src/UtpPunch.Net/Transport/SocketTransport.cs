using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// What all transports over a socket share: the addresses that it has used, the sockets beside it, and how it bears with a system that
/// takes nothing now. A full send buffer is back-pressure; what a stuck device does not take is loss, after one bounded wait.
/// </summary>
internal abstract class SocketTransport : IDatagramTransport
{
    protected const int MaxDatagram = 65535;

    // A node without a deadline still looks up now and then: no wait depends on a wake that must not get lost.
    protected const long LongestWait = 60 * Clock.MicrosecondsPerSecond;

    private const int MaxKnownAddresses = 1024;
    private const int MaxBlockedWaits = 100;

    private readonly Dictionary<Endpoint, SocketAddress> _addresses = [];
    private readonly byte[] _packet = new byte[MaxDatagram];
    private Endpoint _lastRemote;
    private SocketAddress? _lastAddress;
    private bool _stuck;
    private long _dropped;

    /// <param name="socket">Bound and non-blocking; it belongs to the transport.</param>
    protected SocketTransport(Socket socket)
    {
        Socket = socket;
        More = new MoreSockets(socket);
        LocalEndPoint = (IPEndPoint)socket.LocalEndPoint!;
    }

    /// <summary>One try to hand something to the system.</summary>
    protected interface IAttempt
    {
        SocketError Make();
    }

    public IPEndPoint LocalEndPoint { get; }

    public Socket Socket { get; }

    public long Dropped => Volatile.Read(ref _dropped);

    public List<Event> News { get; } = [];

    protected MoreSockets More { get; }

    public bool Speaks(Endpoint remote) =>
        Socket.AddressFamily == AddressFamily.InterNetworkV6 || EndpointModule.isIPv4(remote);

    public virtual void Adopt()
    {
    }

    public abstract void Prepare();

    public abstract bool Wait(long microseconds);

    public abstract void Wake();

    public abstract void Receive(List<Event> received, List<Slab> slabs);

    public void OpenSockets(int count) => More.Open(count);

    public void CloseSockets(int keep) => More.Close(keep);

    public bool Send(Endpoint remote, Train train)
    {
        if (AddressOf(remote) is not { } address)
        {
            Drop(train.Count);
            return false;
        }

        if (remote.Via == 0 && !train.MayFragment)
        {
            return SendTrain(remote, address, train);
        }

        var socket = More.Find(remote.Via) ?? Socket;
        if (train.MayFragment)
        {
            Fragmentation.Allow(socket);
        }

        try
        {
            return SendPackets(remote, address, train, 0, train.Count);
        }
        finally
        {
            if (train.MayFragment)
            {
                Fragmentation.Forbid(socket);
            }
        }
    }

    public SocketException? Send(Endpoint remote, ReadOnlySpan<byte> datagram, int hops = 0)
    {
        var error = SocketError.AddressFamilyNotSupported;
        if (AddressOf(remote) is { } address)
        {
            using var limit = HopLimit.Of(More.Find(remote.Via) ?? Socket, remote, hops);
            error = SendOne(datagram, address, remote.Via);
        }

        if (error == SocketError.Success)
        {
            return null;
        }

        Drop(1);
        return new SocketException((int)error);
    }

    public virtual void Dispose()
    {
        More.Close(0);
        More.Sweep();
        Socket.Dispose();
    }

    /// <summary>Tries to hand over one datagram.</summary>
    protected abstract SocketError TrySend(ReadOnlySpan<byte> datagram, SocketAddress address);

    /// <summary>Sends a train over the node's own socket; false says that there is no way.</summary>
    protected virtual bool SendTrain(Endpoint remote, SocketAddress address, Train train) =>
        SendPackets(remote, address, train, 0, train.Count);

    /// <summary>Waits a little, until the system may have room again.</summary>
    protected abstract void WaitForRoom(SocketError reason);

    /// <summary>Whether an error may be that of an earlier datagram, which is reported by whichever call comes next.</summary>
    /// <param name="error">What the call said.</param>
    /// <param name="failures">How many calls have failed like that before.</param>
    protected virtual bool MayBeStale(SocketError error, int failures) => failures == 0 && !error.IsNoWay();

    /// <summary>So many packets were not sent.</summary>
    protected void Drop(int count) => _dropped += count;

    /// <summary>Sends some packets of a train one by one; false says that there is no way.</summary>
    protected bool SendPackets(Endpoint remote, SocketAddress address, Train train, int start, int count)
    {
        var wasTooLong = false;
        for (var index = start; index < start + count; index++)
        {
            var length = train.Write(index, _packet);
            var error = SendOne(_packet.AsSpan(0, length), address, remote.Via);
            if (error == SocketError.Success)
            {
                continue;
            }

            if (error.IsTooLong() && !wasTooLong)
            {
                wasTooLong = true;
                News.Add(Event.NewTooLong(remote, length, 0));
            }

            Drop(1);
            if (error.IsNoWay() || error.IsBlocked())
            {
                // What holds for this packet holds for those behind it: waiting for each would hold up all other streams.
                Drop(start + count - index - 1);
                return error.IsBlocked();
            }
        }

        return true;
    }

    /// <summary>Tries until the system has taken it, or until it is clear that it will not.</summary>
    protected SocketError Persist<TAttempt>(TAttempt attempt)
        where TAttempt : struct, IAttempt, allows ref struct
    {
        var blocked = 0;
        var failures = 0;
        while (true)
        {
            var error = attempt.Make();
            if (error == SocketError.Success)
            {
                _stuck = false;
                return error;
            }

            if (!error.IsBlocked())
            {
                if (!MayBeStale(error, failures++))
                {
                    return error;
                }
            }
            else if (_stuck || ++blocked > MaxBlockedWaits)
            {
                // One wait is enough: until the system takes something again, what it does not take at once is lost at once.
                _stuck = true;
                return error;
            }
            else
            {
                WaitForRoom(error);
            }
        }
    }

    private SocketError SendOne(ReadOnlySpan<byte> datagram, SocketAddress address, ushort via) =>
        via != 0 ? More.Send(via, datagram, address) : Persist(new OneDatagram(this, datagram, address));

    private SocketAddress? AddressOf(Endpoint remote)
    {
        if (_lastAddress is not null && remote.Equals(_lastRemote))
        {
            return _lastAddress;
        }

        if (!_addresses.TryGetValue(remote, out var address))
        {
            address = Addresses.Write(remote, Socket.AddressFamily);
            if (address is null)
            {
                return null;
            }

            if (_addresses.Count >= MaxKnownAddresses)
            {
                _addresses.Clear();
            }

            _addresses.Add(remote, address);
        }

        (_lastRemote, _lastAddress) = (remote, address);
        return address;
    }

    private readonly ref struct OneDatagram(SocketTransport transport, ReadOnlySpan<byte> datagram, SocketAddress address) : IAttempt
    {
        private readonly ReadOnlySpan<byte> _datagram = datagram;

        public SocketError Make() => transport.TrySend(_datagram, address);
    }
}
