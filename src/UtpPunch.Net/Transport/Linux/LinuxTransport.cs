using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The transport for Linux. It waits in <c>ppoll</c>, to the microsecond; one <c>recvmmsg</c> receives what the kernel has coalesced
/// (UDP_GRO), and one <c>sendmsg</c> sends up to 64 packets (UDP_SEGMENT). A system that does not segment is not asked again. A socket that
/// is bound to all addresses answers from the one that was asked (IP_PKTINFO).
/// </summary>
internal sealed unsafe class LinuxTransport : SocketTransport
{
    private const int MaxCalls = 4;
    private const int MaxStaleErrors = 16;
    private const int BlockedWaitMicroseconds = 10_000;
    private const nuint TimerSlackNanoseconds = 1000;

    private readonly LinuxCalls _calls;
    private readonly EventFile _waker;
    private readonly ReceiveSlots _slots;
    private readonly SegmentedSends _sends = new();
    private readonly ErrorQueue _errors = new();

    // The sockets of the current wait. In _polled, the waker stands first and the sockets follow.
    private readonly List<UdpChannel> _channels = [];
    private Libc.PollFile[] _polled = new Libc.PollFile[2];
    private bool _segments;

    /// <param name="sockets">Bound and non-blocking. They belong to the transport.</param>
    /// <param name="calls">The kernel's by default.</param>
    public LinuxTransport(IReadOnlyList<Socket> sockets, LinuxCalls? calls = null)
        : base(sockets)
    {
        _calls = calls ?? LinuxCalls.Kernel;
        _waker = new EventFile(_calls);
        _slots = new ReceiveSlots(_calls, Locals);
        _segments = Try(sockets[0], Libc.SOL_UDP, Libc.UDP_SEGMENT, 0);
        foreach (var socket in sockets)
        {
            Configure(socket);
        }
    }

    /// <summary>Whether the transport works on this machine, as far as its architecture is concerned.</summary>
    public static bool IsSupported => OperatingSystem.IsLinux() && Environment.Is64BitProcess && BitConverter.IsLittleEndian;

    // By default the kernel may end a wait 50 µs late, to save power.
    public override void Adopt() => _ = Libc.ControlThread(Libc.PR_SET_TIMERSLACK, TimerSlackNanoseconds, 0, 0, 0);

    public override void Prepare()
    {
        _channels.Clear();
        AddChannels(_channels);
        if (_polled.Length <= _channels.Count)
        {
            _polled = new Libc.PollFile[_channels.Count + 1];
        }

        _polled[0] = new Libc.PollFile { File = _waker.Number, Wanted = Libc.POLLIN };
        for (var index = 0; index < _channels.Count; index++)
        {
            _polled[index + 1] = new Libc.PollFile { File = (int)_channels[index].Handle.DangerousGetHandle(), Wanted = Libc.POLLIN };
        }
    }

    public override bool Wait(long microseconds)
    {
        var added = false;
        try
        {
            // If another thread closes the socket meanwhile, its number must not become that of another file.
            _channels[0].Handle.DangerousAddRef(ref added);
            var timeout = Libc.Timespec.OfMicroseconds(Math.Clamp(microseconds, 0, LongestWait));
            fixed (Libc.PollFile* files = _polled)
            {
                var ready = _calls.Poll(files, _channels.Count + 1, &timeout);
                return LinuxCalls.IsRefusal(-ready) ? throw new SocketException((int)SocketError.AccessDenied) : ready > 0;
            }
        }
        finally
        {
            if (added)
            {
                _channels[0].Handle.DangerousRelease();
            }
        }
    }

    public override void Wake() => _waker.Signal();

    public override void Receive(List<Event> received, List<Slab> slabs)
    {
        if (_polled[0].Seen != 0)
        {
            _waker.Clear();
        }

        for (var index = 0; index < _channels.Count; index++)
        {
            if (_polled[index + 1].Seen is not 0 and var seen && _channels[index] is { IsOpen: true } channel)
            {
                Receive(channel, seen, received, slabs);
            }
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        _waker.Dispose();
        _slots.Dispose();
        _sends.Dispose();
        _errors.Dispose();
    }

    protected override void Configure(Socket socket)
    {
        Try(socket, Libc.SOL_UDP, Libc.UDP_GRO, 1);
        Try(socket, Libc.SOL_SOCKET, Libc.SO_TIMESTAMPNS, 1);
        Try(socket, Libc.SOL_IP, Libc.IP_RECVERR, 1);
        if (socket.AddressFamily == AddressFamily.InterNetworkV6)
        {
            Try(socket, Libc.SOL_IPV6, Libc.IPV6_RECVERR, 1);

            // The address at which an IPv4 datagram has arrived is reported in its mapped form.
            Try(socket, Libc.SOL_IPV6, Libc.IPV6_RECVPKTINFO, 1);
        }
        else
        {
            Try(socket, Libc.SOL_IP, Libc.IP_PKTINFO, 1);
        }
    }

    protected override SocketError TrySend(UdpChannel channel, ReadOnlySpan<byte> datagram, SocketAddress address, ushort local)
    {
        var control = stackalloc byte[SourceControl.Size];
        fixed (byte* start = datagram)
        fixed (byte* name = address.Buffer.Span)
        {
            var part = new Libc.Part { Start = start, Length = (nuint)datagram.Length };
            var message = new Libc.Message { Name = name, NameLength = (uint)address.Size, Parts = &part, PartCount = 1 };
            if (SourceOf(channel, local) is { } source)
            {
                message.Control = control;
                message.ControlLength = (nuint)SourceControl.LengthFor(channel.Socket.AddressFamily);
                SourceControl.Write(control, source, channel.Socket.AddressFamily);
            }

            return Send(channel, &message, local);
        }
    }

    protected override bool SendTrain(UdpChannel channel, Endpoint remote, SocketAddress address, Train train)
    {
        var count = train.Count;
        var most = _segments ? SegmentedSends.Limit(train) : 1;
        fixed (byte* name = address.Buffer.Span)
        fixed (byte* payload = train.Payload.Span)
        {
            for (var start = 0; start < count;)
            {
                var taken = Math.Min(most, count - start);
                var source = SourceOf(channel, remote.Local);
                var message = _sends.Prepare(train, start, taken, payload, name, address.Size, channel.Socket.AddressFamily, source);
                var error = Persist(channel, new OneMessage(this, channel, message, remote.Local));
                if (error != SocketError.Success)
                {
                    if (taken > 1 && (error.IsTooLong() || error is SocketError.InvalidArgument or SocketError.SocketError))
                    {
                        return SendUnsegmented(channel, remote, address, train, start, error);
                    }

                    if (error.IsTooLong())
                    {
                        News.Add(Event.NewTooLong(remote, train.LengthOf(start), 0));
                    }

                    Drop(error, count - start);
                    return !error.IsNoWay();
                }

                start += taken;
            }
        }

        return true;
    }

    protected override void WaitForRoom(UdpChannel channel, SocketError reason)
    {
        if (reason == SocketError.NoBufferSpaceAvailable)
        {
            // A socket stays writable while the queue of its device is full.
            var pause = Libc.Timespec.OfMicroseconds(1000);
            _calls.Poll(null, 0, &pause);
        }
        else
        {
            channel.Socket.Poll(BlockedWaitMicroseconds, SelectMode.SelectWrite);
        }
    }

    protected override bool MayBeStale(UdpChannel channel, SocketError error, int failures) =>
        (_errors.Drain(channel, News) && !error.IsTooLong() && failures < MaxStaleErrors)
        || base.MayBeStale(channel, error, failures);

    private void Receive(UdpChannel channel, short seen, List<Event> received, List<Slab> slabs)
    {
        if ((seen & Libc.POLLNVAL) != 0)
        {
            throw new SocketException((int)SocketError.NotSocket);
        }

        if ((seen & Libc.POLLERR) != 0)
        {
            _errors.Drain(channel, News);
        }

        for (var calls = 0; calls < MaxCalls && _slots.Receive(channel, received, slabs); calls++)
        {
        }
    }

    // Either the segments are longer than the device takes, or there is no route, or this system does not segment. One by one, the packets
    // show which: if they are taken, they were refused for being segments.
    private bool SendUnsegmented(UdpChannel channel, Endpoint remote, SocketAddress address, Train train, int start, SocketError error)
    {
        var dropped = Dropped;
        var hasWay = SendPackets(channel, remote, address, train, start, train.Count - start);
        _segments &= Dropped > dropped || error is not (SocketError.InvalidArgument or SocketError.SocketError);
        return hasWay;
    }

    // A socket that is bound to one address sends from that.
    private LocalAddress? SourceOf(UdpChannel channel, ushort local) =>
        local != 0 && channel.IsWildcard && Locals.TryFind(local, out var source) ? source : null;

    private SocketError Send(UdpChannel channel, Libc.Message* message, ushort local)
    {
        var error = Send(channel, message);
        if (error is not (SocketError.InvalidArgument or SocketError.NetworkUnreachable or SocketError.AddressNotAvailable) || SourceOf(channel, local) is null)
        {
            return error;
        }

        // Perhaps the source, which stands last, is not an address of this machine any more: Linux calls that no route, or invalid. If that is not the reason, it stays.
        var length = message->ControlLength;
        message->ControlLength -= (nuint)SourceControl.LengthFor(channel.Socket.AddressFamily);
        var other = Send(channel, message);
        message->ControlLength = length;
        if (other == SocketError.Success)
        {
            Locals.Lose(local);
            News.Add(Event.NewLocalGone(local));
        }

        return other;
    }

    private SocketError Send(UdpChannel channel, Libc.Message* message) =>
        _calls.Send(channel.Handle, message) is not 0 and var error ? SocketErrors.OfLinux(error) : SocketError.Success;

    private static bool Try(Socket socket, int level, int name, int value)
    {
        try
        {
            socket.SetRawSocketOption(level, name, MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in value)));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private readonly struct OneMessage(LinuxTransport transport, UdpChannel channel, Libc.Message* message, ushort local) : IAttempt
    {
        private readonly Libc.Message* _message = message;

        public SocketError Make() => transport.Send(channel, _message, local);
    }
}
