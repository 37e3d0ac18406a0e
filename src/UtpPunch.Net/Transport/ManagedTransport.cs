using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// A transport out of nothing but <see cref="System.Net.Sockets.Socket"/>, for any system: one system call for each datagram. The engine's
/// thread waits on two sockets, the node's and one that wakes it. Both are non-blocking, so nothing but that wait takes time.
/// </summary>
internal sealed class ManagedTransport : IDatagramTransport
{
    private const int MaxDatagram = 65535;
    private const int MaxBatch = 128;
    private const int MaxKnownAddresses = 1024;

    // A node without a deadline still looks up now and then: no wait depends on a wake that must not get lost.
    private const long LongestWait = 60 * Clock.MicrosecondsPerSecond;
    private const int BlockedWaitMicroseconds = 10_000;
    private const int MaxBlockedWaits = 100;

    private readonly Socket _socket;
    private readonly MoreSockets _more;
    private readonly SendTo _sendTo;
    private readonly Socket _waker = SocketFactory.Waker();
    private readonly List<Socket> _ready = new(2);
    private readonly SocketAddress _source;
    private readonly Dictionary<Endpoint, SocketAddress> _addresses = [];
    private readonly byte[] _packet = new byte[MaxDatagram];
    private readonly byte[] _wakeByte = new byte[1];
    private readonly byte[]? _staging;
    private readonly ReceivedRuns _runs = new();
    private readonly List<Event> _tooLong = [];
    private Endpoint _lastRemote;
    private SocketAddress? _lastAddress;
    private bool _readable;
    private bool _stuck;
    private long _dropped;

    /// <summary>Hands a datagram to the system, or throws a <see cref="SocketException"/>.</summary>
    internal delegate void SendTo(ReadOnlySpan<byte> datagram, SocketAddress target);

    /// <param name="socket">Bound and non-blocking; it belongs to the transport.</param>
    /// <param name="saysNextLength">Whether the system says how long the next datagram is. Linux does, others say how much waits in
    /// all: there, a datagram first goes where any fits.</param>
    /// <param name="sendTo">The socket's own by default; tests have others, since no loopback device is ever stuck.</param>
    public ManagedTransport(Socket socket, bool saysNextLength, SendTo? sendTo = null)
    {
        _socket = socket;
        _more = new MoreSockets(socket);
        _sendTo = sendTo ?? ((datagram, target) => socket.SendTo(datagram, SocketFlags.None, target));
        _source = new SocketAddress(socket.AddressFamily);
        LocalEndPoint = (IPEndPoint)socket.LocalEndPoint!;
        _staging = saysNextLength ? null : new byte[MaxDatagram];
    }

    public static ManagedTransport Bind(IPEndPoint local, int receiveBuffer, int sendBuffer)
    {
        var socket = SocketFactory.Bind(local, receiveBuffer, sendBuffer);
        try
        {
            return new ManagedTransport(socket, OperatingSystem.IsLinux());
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public IPEndPoint LocalEndPoint { get; }

    public Socket Socket => _socket;

    public long Dropped => Volatile.Read(ref _dropped);

    public bool Speaks(Endpoint remote) =>
        _socket.AddressFamily == AddressFamily.InterNetworkV6 || EndpointModule.isIPv4(remote);

    public void Wait(long microseconds)
    {
        _ready.Clear();
        _ready.Add(_socket);
        _ready.Add(_waker);
        _more.AddTo(_ready);

        // What the system said of the last datagrams is told without waiting.
        if (_tooLong.Count > 0)
        {
            microseconds = 0;
        }

        // Some systems count the wait in whole milliseconds and round down; that would spin until the deadline.
        var milliseconds = (Math.Clamp(microseconds, 0, LongestWait) + 999) / 1000;
        Socket.Select(_ready, null, null, (int)milliseconds * 1000);
        foreach (var socket in _ready)
        {
            if (ReferenceEquals(socket, _socket))
            {
                _readable = true;
            }
            else if (ReferenceEquals(socket, _waker))
            {
                DrainWakes();
            }
            else
            {
                _more.OnReadable(socket);
            }
        }
    }

    public void Wake()
    {
        try
        {
            ReadOnlySpan<byte> any = [1];
            _waker.Send(any, SocketFlags.None);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // Either wakes wait there already, or nobody waits for them any more.
        }
    }

    public void Receive(List<Event> received)
    {
        received.AddRange(_tooLong);
        _tooLong.Clear();
        if (_readable)
        {
            _readable = false;
            _runs.Begin(received);
            for (var count = 0; count < MaxBatch && ReceiveOne(mayBeEmpty: count == 0); count++)
            {
            }

            _runs.Flush();
        }

        _more.Receive(received);
    }

    public void OpenSockets(int count) => _more.Open(count);

    public void CloseSockets(int keep) => _more.Close(keep);

    /// <summary>False when nothing was there.</summary>
    private bool ReceiveOne(bool mayBeEmpty)
    {
        try
        {
            // Asking first, since a receive that finds nothing costs an exception. But nothing can also mean an empty datagram, and
            // that must go, or the socket would stay readable for ever.
            var available = _socket.Available;
            if (available == 0 && !mayBeEmpty)
            {
                return false;
            }

            var length = _staging is null ? ReceiveInPlace(available) : ReceiveByWayOf(_staging);
            if (length >= 0)
            {
                _runs.Add(Addresses.Read(_source), length);
            }

            return true;
        }
        catch (SocketException error)
        {
            // What an ICMP packet said about an earlier datagram is reported once, in place of a datagram, which is still there.
            _source.Size = SocketAddress.GetMaximumAddressSize(_socket.AddressFamily);
            return error.SocketErrorCode != SocketError.WouldBlock;
        }
    }

    private int ReceiveInPlace(int available)
    {
        var room = _runs.Room(Math.Clamp(available, 1, MaxDatagram));
        var length = _socket.ReceiveFrom(room, SocketFlags.None, _source);

        // One that fills the room without having been announced may have been longer: half a datagram would be worse than none.
        return length == room.Length && length != available ? -1 : length;
    }

    private int ReceiveByWayOf(byte[] staging)
    {
        var length = _socket.ReceiveFrom(staging, SocketFlags.None, _source);
        staging.AsSpan(0, length).CopyTo(_runs.Room(length));
        return length;
    }

    public bool Send(Endpoint remote, Train train)
    {
        var count = train.Count;
        if (AddressOf(remote) is not { } address)
        {
            _dropped += count;
            return false;
        }

        if (train.MayFragment)
        {
            var socket = _more.Find(remote.Via) ?? _socket;
            Fragmentation.Allow(socket);
            try
            {
                return Send(remote, address, train);
            }
            finally
            {
                Fragmentation.Forbid(socket);
            }
        }

        return Send(remote, address, train);
    }

    private bool Send(Endpoint remote, SocketAddress address, Train train)
    {
        var count = train.Count;
        var saidTooLong = false;
        for (var index = 0; index < count; index++)
        {
            var length = train.Write(index, _packet);
            if (SendOne(_packet.AsSpan(0, length), address, remote.Via)?.SocketErrorCode is not { } error)
            {
                continue;
            }

            if (error.IsTooLong() && !saidTooLong)
            {
                saidTooLong = true;
                _tooLong.Add(Event.NewTooLong(remote, length, 0));
            }

            if (error.IsNoWay() || error.IsBlocked())
            {
                // What holds for this packet holds for those behind it: waiting for each would hold up all other streams.
                _dropped += count - index - 1;
                return error.IsBlocked();
            }
        }

        return true;
    }

    public SocketException? Send(Endpoint remote, ReadOnlySpan<byte> datagram, int hops = 0)
    {
        if (AddressOf(remote) is { } address)
        {
            using var limit = HopLimit.Of(_more.Find(remote.Via) ?? _socket, remote, hops);
            return SendOne(datagram, address, remote.Via);
        }

        _dropped++;
        return new SocketException((int)SocketError.AddressFamilyNotSupported);
    }

    /// <summary>Why the system would not send it; null when it has.</summary>
    private SocketException? SendOne(ReadOnlySpan<byte> datagram, SocketAddress address, ushort via)
    {
        if (via != 0)
        {
            return _more.Send(via, datagram, address);
        }

        var blocked = 0;
        var failed = false;
        while (true)
        {
            try
            {
                _sendTo(datagram, address);
                _stuck = false;
                return null;
            }
            catch (SocketException error) when (error.SocketErrorCode.IsBlocked())
            {
                // One wait is enough: until the system takes something again, what it does not take at once is lost at once.
                if (_stuck || ++blocked > MaxBlockedWaits)
                {
                    _stuck = true;
                    _dropped++;
                    return error;
                }

                WaitForRoom(error.SocketErrorCode);
            }
            catch (SocketException error)
            {
                // An error that an earlier datagram has caused is reported by whichever call comes next, once.
                if (failed || error.SocketErrorCode.IsNoWay() || error.SocketErrorCode.IsTooLong())
                {
                    _dropped++;
                    return error;
                }

                failed = true;
            }
        }
    }

    // A full send buffer is back-pressure, not loss. A full device queue does not show as "not writable", so that wait only takes time.
    private void WaitForRoom(SocketError reason)
    {
        if (reason == SocketError.NoBufferSpaceAvailable)
        {
            _waker.Poll(1000, SelectMode.SelectError);
        }
        else
        {
            _socket.Poll(BlockedWaitMicroseconds, SelectMode.SelectWrite);
        }
    }

    private SocketAddress? AddressOf(Endpoint remote)
    {
        if (_lastAddress is not null && remote.Equals(_lastRemote))
        {
            return _lastAddress;
        }

        if (!_addresses.TryGetValue(remote, out var address))
        {
            address = Addresses.Write(remote, _socket.AddressFamily);
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

    private void DrainWakes()
    {
        try
        {
            do
            {
                _waker.Receive(_wakeByte);
            }
            while (_waker.Available > 0);
        }
        catch (SocketException)
        {
        }
    }

    public void Dispose()
    {
        _more.Close(0);
        _socket.Dispose();
        _waker.Dispose();
    }
}
