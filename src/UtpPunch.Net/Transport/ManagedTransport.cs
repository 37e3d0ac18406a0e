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
    private readonly Socket _waker = SocketFactory.Waker();
    private readonly List<Socket> _ready = new(2);
    private readonly SocketAddress _source;
    private readonly Dictionary<Endpoint, SocketAddress> _addresses = [];
    private readonly byte[] _packet = new byte[MaxDatagram];
    private readonly byte[] _wakeByte = new byte[1];
    private readonly byte[]? _staging;
    private readonly ReceivedRuns _runs = new();
    private Endpoint _lastRemote;
    private SocketAddress? _lastAddress;
    private bool _readable;

    /// <param name="socket">Bound and non-blocking; it belongs to the transport.</param>
    /// <param name="saysNextLength">Whether the system says how long the next datagram is. Linux does, others say how much waits in
    /// all: there, a datagram first goes where any fits.</param>
    public ManagedTransport(Socket socket, bool saysNextLength)
    {
        _socket = socket;
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

    /// <summary>Datagrams that the system's send buffer would not take for a second, and that were dropped then.</summary>
    public long Dropped { get; private set; }

    public bool Speaks(Endpoint remote) =>
        _socket.AddressFamily == AddressFamily.InterNetworkV6 || EndpointModule.isIPv4(remote);

    public void Wait(long microseconds)
    {
        _ready.Clear();
        _ready.Add(_socket);
        _ready.Add(_waker);

        // Some systems count the wait in whole milliseconds and round down; that would spin until the deadline.
        var milliseconds = (Math.Clamp(microseconds, 0, LongestWait) + 999) / 1000;
        Socket.Select(_ready, null, null, (int)milliseconds * 1000);
        foreach (var socket in _ready)
        {
            if (ReferenceEquals(socket, _socket))
            {
                _readable = true;
            }
            else
            {
                DrainWakes();
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
        if (!_readable)
        {
            return;
        }

        _readable = false;
        _runs.Begin(received);
        for (var count = 0; count < MaxBatch && ReceiveOne(mayBeEmpty: count == 0); count++)
        {
        }

        _runs.Flush();
    }

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
        if (AddressOf(remote) is not { } address)
        {
            return false;
        }

        var count = train.Count;
        for (var index = 0; index < count; index++)
        {
            var length = train.Write(index, _packet);
            if (IsNoWay(SendOne(_packet.AsSpan(0, length), address)))
            {
                return false;
            }
        }

        return true;
    }

    public SocketError Send(Endpoint remote, ReadOnlySpan<byte> datagram) =>
        AddressOf(remote) is { } address ? SendOne(datagram, address) : SocketError.AddressFamilyNotSupported;

    private SocketError SendOne(ReadOnlySpan<byte> datagram, SocketAddress address)
    {
        var blocked = 0;
        var failed = false;
        while (true)
        {
            try
            {
                _socket.SendTo(datagram, SocketFlags.None, address);
                return SocketError.Success;
            }
            catch (SocketException error) when (IsBlocked(error.SocketErrorCode))
            {
                if (++blocked > MaxBlockedWaits)
                {
                    Dropped++;
                    return error.SocketErrorCode;
                }

                WaitForRoom(error.SocketErrorCode);
            }
            catch (SocketException error)
            {
                // An error that an earlier datagram has caused is reported by whichever call comes next, once.
                if (failed || IsNoWay(error.SocketErrorCode))
                {
                    return error.SocketErrorCode;
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

    private static bool IsBlocked(SocketError error) =>
        error is SocketError.WouldBlock or SocketError.NoBufferSpaceAvailable or SocketError.IOPending;

    private static bool IsNoWay(SocketError error) =>
        error is SocketError.NetworkUnreachable or SocketError.HostUnreachable or SocketError.NetworkDown or SocketError.HostDown
            or SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported or SocketError.InvalidArgument;

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
        _socket.Dispose();
        _waker.Dispose();
    }
}
