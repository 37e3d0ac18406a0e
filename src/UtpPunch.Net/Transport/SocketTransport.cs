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

    private readonly Dictionary<Endpoint, SocketAddress> _addresses = [];
    private readonly BirthdaySockets _birthday;
    private readonly byte[] _packet = new byte[MaxDatagram];
    private Endpoint _lastRemote;
    private SocketAddress? _lastAddress;
    private bool _stuck;
    private long _dropped;

    /// <param name="socket">Bound and non-blocking. It belongs to the transport.</param>
    protected SocketTransport(Socket socket)
    {
        Main = new UdpChannel(socket, 0);
        _birthday = new BirthdaySockets(socket);
        LocalEndPoint = (IPEndPoint)socket.LocalEndPoint!;
        BufferSizes = SocketFactory.BufferSizesOf(socket);
    }

    /// <summary>One attempt to hand something to the system.</summary>
    protected interface IAttempt
    {
        SocketError Make();
    }

    public IPEndPoint LocalEndPoint { get; }

    public BufferSizes BufferSizes { get; }

    public Socket Socket => Main.Socket;

    public long Dropped => Volatile.Read(ref _dropped);

    public List<Event> News { get; } = [];

    /// <summary>The node's own socket.</summary>
    protected UdpChannel Main { get; }

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
        if (ChannelOf(remote) is not { } channel || AddressOf(remote) is not { } address)
        {
            Drop(train.Count);
            return false;
        }

        if (!train.MayFragment)
        {
            return SendTrain(channel, remote, address, train);
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

    public SocketException? Send(Endpoint remote, ReadOnlySpan<byte> datagram, int hops = 0)
    {
        var error = SocketError.AddressFamilyNotSupported;
        if (ChannelOf(remote) is not { } channel)
        {
            error = SocketError.NotSocket;
        }
        else if (AddressOf(remote) is { } address)
        {
            using var limit = HopLimit.Of(channel.Socket, remote, hops);
            error = Persist(channel, new OneDatagram(this, channel, datagram, address));
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
        _birthday.DisposeAll();
        Socket.Dispose();
    }

    /// <summary>Sets what a socket needs that streams use. The sockets that only probe do without.</summary>
    protected virtual void Configure(Socket socket)
    {
    }

    /// <summary>Adds the sockets that the next wait is for, beside <see cref="Main"/>.</summary>
    protected void AddBirthdayChannels(List<UdpChannel> channels) => _birthday.AddTo(channels);

    /// <summary>Attempts to send one datagram.</summary>
    protected abstract SocketError TrySend(UdpChannel channel, ReadOnlySpan<byte> datagram, SocketAddress address);

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
    protected void Drop(int count) => _dropped += count;

    /// <summary>Sends some packets of a train one by one.</summary>
    /// <returns><see langword="false"/> if there is no route to the address.</returns>
    protected bool SendPackets(UdpChannel channel, Endpoint remote, SocketAddress address, Train train, int start, int count)
    {
        var wasTooLong = false;
        for (var index = start; index < start + count; index++)
        {
            var length = train.Write(index, _packet);
            var error = Persist(channel, new OneDatagram(this, channel, _packet.AsSpan(0, length), address));
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
                // The same holds for the packets behind it. Waiting for each of them would delay all other streams.
                Drop(start + count - index - 1);
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

    private UdpChannel? ChannelOf(Endpoint remote) => remote.Via == 0 ? Main : _birthday.Find(remote.Via);

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

    private readonly ref struct OneDatagram(SocketTransport transport, UdpChannel channel, ReadOnlySpan<byte> datagram, SocketAddress address)
        : IAttempt
    {
        private readonly ReadOnlySpan<byte> _datagram = datagram;

        public SocketError Make() => transport.TrySend(channel, _datagram, address);
    }
}
