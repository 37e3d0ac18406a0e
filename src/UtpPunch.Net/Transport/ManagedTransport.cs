using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// A transport that uses nothing but <see cref="System.Net.Sockets.Socket"/>, for any system: one system call for each datagram. Its sockets
/// are non-blocking, and one thread waits on all of them and on one more, which wakes it. No call sends from a given address, so beside a
/// socket that is bound to all addresses there is one for each of several.
/// </summary>
internal sealed class ManagedTransport : SocketTransport
{
    private const int MaxBatch = 128;
    private const int BlockedWaitMicroseconds = 10_000;

    private readonly SendTo? _sendTo;
    private readonly Socket _waker = SocketFactory.Waker();
    private readonly List<UdpChannel> _channels = new(1);
    private readonly List<Socket> _ready = new(2);
    private readonly SocketAddress _sourceOfIPv4 = new(AddressFamily.InterNetwork);
    private readonly SocketAddress _sourceOfIPv6 = new(AddressFamily.InterNetworkV6);
    private readonly byte[] _wakeByte = new byte[1];
    private readonly byte[]? _staging;
    private readonly ReceivedRuns _runs = new();
    private readonly AddressSockets _perAddress;

    /// <summary>Sends a datagram, or throws a <see cref="SocketException"/>.</summary>
    internal delegate void SendTo(ReadOnlySpan<byte> datagram, SocketAddress target);

    /// <param name="sockets">Bound and non-blocking. They belong to the transport.</param>
    /// <param name="saysNextLength">Whether <see cref="Socket.Available"/> is the length of the next datagram, as on Linux. Other systems
    /// return the sum of all that wait; there, a datagram is received into a buffer for the longest one first.</param>
    /// <param name="sendTo">Replaces the system's own call in tests, since no loopback device ever stalls.</param>
    public ManagedTransport(IReadOnlyList<Socket> sockets, bool saysNextLength, SendTo? sendTo = null)
        : base(sockets)
    {
        _sendTo = sendTo;
        _perAddress = new AddressSockets(Own, Locals, Wake);
        _staging = saysNextLength ? null : new byte[MaxDatagram];
    }

    public override void Prepare()
    {
        _ready.Clear();
        _channels.Clear();
        AddChannels(_channels);
    }

    public override bool Wait(long microseconds)
    {
        // Of the sockets in the list, the call leaves those that are readable.
        _ready.Clear();
        _ready.Add(_waker);
        foreach (var channel in _channels)
        {
            _ready.Add(channel.Socket);
        }

        // Some systems wait whole milliseconds and round down; a wait for less would spin until the deadline.
        var milliseconds = (Math.Clamp(microseconds, 0, LongestWait) + 999) / 1000;
        Socket.Select(_ready, null, null, (int)milliseconds * 1000);
        return _ready.Count > 0;
    }

    public override void Receive(List<Event> received, List<Slab> slabs)
    {
        _runs.Begin(received);
        foreach (var socket in _ready)
        {
            if (ReferenceEquals(socket, _waker))
            {
                DrainWakes();
            }
            else if (ChannelOf(socket) is { IsOpen: true } channel)
            {
                ReceiveFrom(channel);
            }
        }

        _runs.Flush();
        _ready.Clear();
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
            // Other wake-ups are pending already, or no thread waits any more.
        }
    }

    public override void Dispose()
    {
        _perAddress.Dispose();
        base.Dispose();
        _waker.Dispose();
    }

    protected override void AddChannels(List<UdpChannel> channels)
    {
        base.AddChannels(channels);
        _perAddress.AddTo(channels);
    }

    protected override UdpChannel? ChannelOf(Endpoint remote) =>
        (remote.Local == 0 ? null : _perAddress.Find(remote.Via, remote.Local)) ?? base.ChannelOf(remote);

    protected override SocketError TrySend(UdpChannel channel, ReadOnlySpan<byte> datagram, SocketAddress address, ushort local)
    {
        try
        {
            if (_sendTo is null)
            {
                channel.Socket.SendTo(datagram, SocketFlags.None, address);
            }
            else
            {
                _sendTo(datagram, address);
            }

            return SocketError.Success;
        }
        catch (SocketException error)
        {
            return error.SocketErrorCode;
        }
    }

    // A full send buffer is back-pressure, not loss. A socket stays writable while the queue of its device is full, so that only time helps.
    protected override void WaitForRoom(UdpChannel channel, SocketError reason)
    {
        if (reason == SocketError.NoBufferSpaceAvailable)
        {
            _waker.Poll(1000, SelectMode.SelectError);
        }
        else
        {
            channel.Socket.Poll(BlockedWaitMicroseconds, SelectMode.SelectWrite);
        }
    }

    private UdpChannel? ChannelOf(Socket socket)
    {
        foreach (var channel in _channels)
        {
            if (ReferenceEquals(channel.Socket, socket))
            {
                return channel;
            }
        }

        return null;
    }

    private void ReceiveFrom(UdpChannel channel)
    {
        for (var count = 0; count < MaxBatch && ReceiveOne(channel, mayBeEmpty: count == 0); count++)
        {
        }
    }

    /// <returns><see langword="false"/> if there was no datagram.</returns>
    private bool ReceiveOne(UdpChannel channel, bool mayBeEmpty)
    {
        var source = channel.Socket.AddressFamily == AddressFamily.InterNetwork ? _sourceOfIPv4 : _sourceOfIPv6;
        try
        {
            // A receive that finds nothing costs an exception, so that the length is asked for first. A length of 0 may also be that of an
            // empty datagram, which must be received, or the socket would stay readable for ever.
            var available = channel.Socket.Available;
            if (available == 0 && !mayBeEmpty)
            {
                return false;
            }

            var length = _staging is null ? ReceiveInPlace(channel.Socket, source, available) : ReceiveByWayOf(channel.Socket, source, _staging);
            if (length >= 0)
            {
                var name = Addresses.Read(source);
                var from = new Endpoint(name.High, name.Low, name.Scope, name.Port, channel.Via, channel.Local);
                _runs.Add(from, length, length, Clock.Now);
            }

            return true;
        }
        catch (SocketException error)
        {
            // What an ICMP packet said about an earlier datagram is reported once, instead of a datagram, which is still there.
            source.Size = SocketAddress.GetMaximumAddressSize(channel.Socket.AddressFamily);
            return error.SocketErrorCode != SocketError.WouldBlock;
        }
    }

    private int ReceiveInPlace(Socket socket, SocketAddress source, int available)
    {
        var room = _runs.Room(Math.Clamp(available, 1, MaxDatagram));
        var length = socket.ReceiveFrom(room, SocketFlags.None, source);

        // One that fills the room, and was not announced, may have been longer: a part of a datagram would be worse than none.
        return length == room.Length && length != available ? -1 : length;
    }

    private int ReceiveByWayOf(Socket socket, SocketAddress source, byte[] staging)
    {
        var length = socket.ReceiveFrom(staging, SocketFlags.None, source);
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
