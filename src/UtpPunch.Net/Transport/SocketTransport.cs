using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// What the transports over sockets share: the socket addresses that were used, the sockets of birthday probing, and what happens when the
/// system does not take a datagram. A full send buffer is back-pressure; what a stalled device does not take is loss, after one bounded wait.
/// </summary>
internal abstract class SocketTransport : IDatagramTransport
{
    protected const int MaxDatagram = 65535;

    // A node without a deadline wakes now and then: no wait depends on a wake-up that must not be lost.
    protected const long LongestWait = 60 * Clock.MicrosecondsPerSecond;

    private const int MaxKnownAddresses = 1024;
    private const int MaxBlockedWaits = 100;

    private readonly UdpChannel[] _own;
    private readonly Dictionary<Endpoint, SocketAddress> _addresses = [];
    private readonly Dictionary<Endpoint, long> _alone = [];
    private readonly BirthdaySockets _birthday;
    private readonly byte[] _packet = new byte[MaxDatagram];
    private Endpoint _lastRemote;
    private SocketAddress? _lastAddress;
    private IPEndPoint? _lastLocal;
    private bool _stuck;

    /// <param name="sockets">Bound and non-blocking. They belong to the transport.</param>
    protected SocketTransport(IReadOnlyList<Socket> sockets)
    {
        _own = [.. sockets.Select((socket, index) => new UdpChannel(socket, (ushort)index))];
        _birthday = new BirthdaySockets(sockets[0]);
        BufferSizes = SocketFactory.BufferSizesOf(sockets[0]);
    }

    /// <summary>One attempt to hand something to the system.</summary>
    protected interface IAttempt
    {
        SocketError Make();
    }

    public IPEndPoint LocalEndPoint => _own[0].LocalEndPoint;

    public BufferSizes BufferSizes { get; }

    public Socket Socket => _own[0].Socket;

    public DropCounters Drops { get; } = new();

    public long Dropped => Drops.Total;

    public List<Event> News { get; } = [];

    /// <summary>The sockets that are open throughout.</summary>
    protected IReadOnlyList<UdpChannel> Own => _own;

    /// <summary>The numbers of own addresses.</summary>
    protected LocalAddresses Locals { get; } = new();

    public IPEndPoint LocalEndPointOf(Endpoint remote)
    {
        var bound = ChannelOf(remote)?.LocalEndPoint ?? LocalEndPoint;
        if (!Locals.TryFind(remote.Local, out var address))
        {
            return bound;
        }

        // Of many streams, most have the same one.
        var local = address.WithPort(bound.Port);
        return local.Equals(_lastLocal) ? _lastLocal : _lastLocal = local;
    }

    // The system chooses the same for IPv4, and control messages are not free.
    public Endpoint From(IPAddress own, Endpoint remote) =>
        own.AddressFamily == AddressFamily.InterNetworkV6 ? EndpointModule.local(Locals.NumberOf(LocalAddress.Of(own)), remote) : remote;

    public bool Speaks(Endpoint remote) =>
        Socket.AddressFamily == AddressFamily.InterNetworkV6 || EndpointModule.isIPv4(remote);

    public virtual void Adopt()
    {
    }

    public abstract void Prepare();

    public abstract bool Wait(long microseconds);

    public abstract void Wake();

    public abstract void Receive(List<Event> received, List<Slab> slabs);

    public void OpenSockets(int first, int count) => _birthday.Open(first, count);

    public void CloseSockets(int first, int count, int keep)
    {
        if (_birthday.Close(first, count, keep) is { } kept)
        {
            SocketFactory.CopyBufferSizes(Socket, kept.Socket);
            Configure(kept.Socket);
        }
    }

    public bool Send(Endpoint remote, Train train)
    {
        if (ChannelOf(remote) is not { } channel || AddressOf(remote, channel) is not { } address)
        {
            Drop(SocketError.AddressFamilyNotSupported, train.Count);
            return false;
        }

        if (!train.MayFragment)
        {
            return IsAlone(remote)
                ? SendPackets(channel, remote, address, train, 0, train.Count)
                : SendTrain(channel, remote, address, train);
        }

        Fragmentation.Allow(channel.Socket);
        try
        {
            return SendPackets(channel, remote, address, train, 0, train.Count);
        }
        finally
        {
            Fragmentation.Forbid(channel.Socket);
        }
    }

    public void SendAlone(Endpoint remote, long microseconds)
    {
        if (_alone.Count >= MaxKnownAddresses)
        {
            _alone.Clear();
        }

        _alone[remote] = Clock.Now + microseconds;
    }

    public SocketException? Send(Endpoint remote, ReadOnlySpan<byte> datagram, int hops = 0)
    {
        var error = SocketError.AddressFamilyNotSupported;
        if (ChannelOf(remote) is not { } channel)
        {
            error = SocketError.NotSocket;
        }
        else if (AddressOf(remote, channel) is { } address)
        {
            using var limit = HopLimit.Of(channel.Socket, remote, hops);
            error = Persist(channel, new OneDatagram(this, channel, datagram, address, remote.Local));
        }

        if (error == SocketError.Success)
        {
            return null;
        }

        Drop(error, 1);
        return new SocketException((int)error);
    }

    public virtual void Dispose()
    {
        _birthday.DisposeAll();
        foreach (var channel in _own)
        {
            channel.Socket.Dispose();
        }
    }

    /// <summary>Sets what a socket needs that streams use. The sockets that only probe do without.</summary>
    protected virtual void Configure(Socket socket)
    {
    }

    /// <summary>Adds the sockets that the next wait is for.</summary>
    protected virtual void AddChannels(List<UdpChannel> channels)
    {
        channels.AddRange(_own);
        _birthday.AddTo(channels);
    }

    /// <summary>The socket with which a peer is spoken to; <see langword="null"/> if it was closed.</summary>
    protected virtual UdpChannel? ChannelOf(Endpoint remote) =>
        remote.Via < _own.Length ? _own[remote.Via] : _birthday.Find(remote.Via);

    /// <summary>Attempts to send one datagram.</summary>
    /// <param name="channel">The socket.</param>
    /// <param name="datagram">The payload.</param>
    /// <param name="address">The target.</param>
    /// <param name="local">The number of the source; 0 if the system is to choose.</param>
    protected abstract SocketError TrySend(UdpChannel channel, ReadOnlySpan<byte> datagram, SocketAddress address, ushort local);

    /// <summary>Sends a train.</summary>
    /// <returns><see langword="false"/> if there is no route to the address.</returns>
    protected virtual bool SendTrain(UdpChannel channel, Endpoint remote, SocketAddress address, Train train) =>
        SendPackets(channel, remote, address, train, 0, train.Count);

    /// <summary>Waits a little, until the system may have room again.</summary>
    protected abstract void WaitForRoom(UdpChannel channel, SocketError reason);

    /// <summary>Whether an error may concern an earlier datagram: the system reports it through whichever call comes next.</summary>
    /// <param name="channel">The socket.</param>
    /// <param name="error">What the call has returned.</param>
    /// <param name="failures">How many calls have failed like that before.</param>
    protected virtual bool MayBeStale(UdpChannel channel, SocketError error, int failures) => failures == 0 && !error.IsNoWay();

    /// <summary>Counts packets that were not sent.</summary>
    protected void Drop(SocketError error, int count) => Drops.Add(error, count);

    /// <summary>Sends some packets of a train one by one.</summary>
    /// <returns><see langword="false"/> if there is no route to the address.</returns>
    protected bool SendPackets(UdpChannel channel, Endpoint remote, SocketAddress address, Train train, int start, int count)
    {
        var wasTooLong = false;
        for (var index = start; index < start + count; index++)
        {
            var length = train.Write(index, _packet);
            var error = Persist(channel, new OneDatagram(this, channel, _packet.AsSpan(0, length), address, remote.Local));
            if (error == SocketError.Success)
            {
                continue;
            }

            if (error.IsTooLong() && !wasTooLong)
            {
                wasTooLong = true;
                News.Add(Event.NewTooLong(remote, length, 0));
            }

            Drop(error, 1);
            if (error.IsNoWay() || error.IsBlocked())
            {
                // The same holds for the packets behind it. Waiting for each of them would delay all other streams.
                Drop(error, start + count - index - 1);
                return error.IsBlocked();
            }
        }

        return true;
    }

    /// <summary>Makes attempts until the system has taken it, or until it is clear that it will not.</summary>
    protected SocketError Persist<TAttempt>(UdpChannel channel, TAttempt attempt)
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
                if (!MayBeStale(channel, error, failures++))
                {
                    return error;
                }
            }
            else if (_stuck || ++blocked > MaxBlockedWaits)
            {
                // One wait is enough: until the system takes a datagram again, what it does not take at once is dropped at once.
                _stuck = true;
                return error;
            }
            else
            {
                WaitForRoom(channel, error);
            }
        }
    }

    private bool IsAlone(Endpoint remote)
    {
        if (_alone.Count == 0 || !_alone.TryGetValue(remote, out var until))
        {
            return false;
        }

        if (Clock.Now < until)
        {
            return true;
        }

        _alone.Remove(remote);
        return false;
    }

    private SocketAddress? AddressOf(Endpoint remote, UdpChannel channel)
    {
        var family = channel.Socket.AddressFamily;
        if (_lastAddress?.Family == family && remote.Equals(_lastRemote))
        {
            return _lastAddress;
        }

        if (!_addresses.TryGetValue(remote, out var address) || address.Family != family)
        {
            address = Addresses.Write(remote, family);
            if (address is null)
            {
                return null;
            }

            if (_addresses.Count >= MaxKnownAddresses)
            {
                _addresses.Clear();
            }

            _addresses[remote] = address;
        }

        (_lastRemote, _lastAddress) = (remote, address);
        return address;
    }

    private readonly ref struct OneDatagram(
        SocketTransport transport, UdpChannel channel, ReadOnlySpan<byte> datagram, SocketAddress address, ushort local)
        : IAttempt
    {
        private readonly ReadOnlySpan<byte> _datagram = datagram;

        public SocketError Make() => transport.TrySend(channel, _datagram, address, local);
    }
}
