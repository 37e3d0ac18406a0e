using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// A transport out of nothing but <see cref="System.Net.Sockets.Socket"/>, for any system: one system call for each datagram. The engine's
/// thread waits on two sockets, the node's and one that wakes it. Both are non-blocking, so nothing but that wait takes time.
/// </summary>
internal sealed class ManagedTransport : SocketTransport
{
    private const int MaxBatch = 128;
    private const int BlockedWaitMicroseconds = 10_000;

    private readonly SendTo _sendTo;
    private readonly Socket _waker = SocketFactory.Waker();
    private readonly List<Socket> _watched = new(2);
    private readonly List<Socket> _ready = new(2);
    private readonly SocketAddress _source;
    private readonly byte[] _wakeByte = new byte[1];
    private readonly byte[]? _staging;
    private readonly ReceivedRuns _runs = new();
    private bool _readable;

    /// <summary>Hands a datagram to the system, or throws a <see cref="SocketException"/>.</summary>
    internal delegate void SendTo(ReadOnlySpan<byte> datagram, SocketAddress target);

    /// <param name="socket">Bound and non-blocking; it belongs to the transport.</param>
    /// <param name="saysNextLength">Whether the system says how long the next datagram is. Linux does, others say how much waits in
    /// all: there, a datagram first goes where any fits.</param>
    /// <param name="sendTo">The socket's own by default; tests have others, since no loopback device is ever stuck.</param>
    public ManagedTransport(Socket socket, bool saysNextLength, SendTo? sendTo = null)
        : base(socket)
    {
        _sendTo = sendTo ?? ((datagram, target) => socket.SendTo(datagram, SocketFlags.None, target));
        _source = new SocketAddress(socket.AddressFamily);
        _staging = saysNextLength ? null : new byte[MaxDatagram];
    }

    public override void Prepare()
    {
        _ready.Clear();
        _watched.Clear();
        _watched.Add(Socket);
        _watched.Add(_waker);
        More.AddTo(_watched);
    }

    public override bool Wait(long microseconds)
    {
        // Of those that are asked for, the call leaves those that are ready.
        _ready.Clear();
        _ready.AddRange(_watched);

        // Some systems count the wait in whole milliseconds and round down; that would spin until the deadline.
        var milliseconds = (Math.Clamp(microseconds, 0, LongestWait) + 999) / 1000;
        Socket.Select(_ready, null, null, (int)milliseconds * 1000);
        return _ready.Count > 0;
    }

    public override void Receive(List<Event> received, List<Slab> slabs)
    {
        foreach (var socket in _ready)
        {
            if (ReferenceEquals(socket, Socket))
            {
                _readable = true;
            }
            else if (ReferenceEquals(socket, _waker))
            {
                DrainWakes();
            }
            else
            {
                More.OnReadable(socket);
            }
        }

        _ready.Clear();
        if (_readable)
        {
            _readable = false;
            _runs.Begin(received);
            for (var count = 0; count < MaxBatch && ReceiveOne(mayBeEmpty: count == 0); count++)
            {
            }

            _runs.Flush();
        }

        More.Receive(received);
    }

    public override void Wake()
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

    public override void Dispose()
    {
        base.Dispose();
        _waker.Dispose();
    }

    protected override SocketError TrySend(ReadOnlySpan<byte> datagram, SocketAddress address)
    {
        try
        {
            _sendTo(datagram, address);
            return SocketError.Success;
        }
        catch (SocketException error)
        {
            return error.SocketErrorCode;
        }
    }

    // A full send buffer is back-pressure, not loss. A full device queue does not show as "not writable", so that wait only takes time.
    protected override void WaitForRoom(SocketError reason)
    {
        if (reason == SocketError.NoBufferSpaceAvailable)
        {
            _waker.Poll(1000, SelectMode.SelectError);
        }
        else
        {
            Socket.Poll(BlockedWaitMicroseconds, SelectMode.SelectWrite);
        }
    }

    /// <summary>False when nothing was there.</summary>
    private bool ReceiveOne(bool mayBeEmpty)
    {
        try
        {
            // Asking first, since a receive that finds nothing costs an exception. But nothing can also mean an empty datagram, and
            // that must go, or the socket would stay readable for ever.
            var available = Socket.Available;
            if (available == 0 && !mayBeEmpty)
            {
                return false;
            }

            var length = _staging is null ? ReceiveInPlace(available) : ReceiveByWayOf(_staging);
            if (length >= 0)
            {
                _runs.Add(Addresses.Read(_source), length, length, Clock.Now);
            }

            return true;
        }
        catch (SocketException error)
        {
            // What an ICMP packet said about an earlier datagram is reported once, in place of a datagram, which is still there.
            _source.Size = SocketAddress.GetMaximumAddressSize(Socket.AddressFamily);
            return error.SocketErrorCode != SocketError.WouldBlock;
        }
    }

    private int ReceiveInPlace(int available)
    {
        var room = _runs.Room(Math.Clamp(available, 1, MaxDatagram));
        var length = Socket.ReceiveFrom(room, SocketFlags.None, _source);

        // One that fills the room without having been announced may have been longer: half a datagram would be worse than none.
        return length == room.Length && length != available ? -1 : length;
    }

    private int ReceiveByWayOf(byte[] staging)
    {
        var length = Socket.ReceiveFrom(staging, SocketFlags.None, _source);
        staging.AsSpan(0, length).CopyTo(_runs.Room(length));
        return length;
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
}
