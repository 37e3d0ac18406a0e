using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The transport for Linux: waits in <c>ppoll</c>, to the microsecond, and lets one system call receive or send as many datagrams as fit
/// into 64 KiB. A system that refuses to segment is asked no more. Nothing of it moves payload but the kernel.
/// </summary>
internal sealed unsafe class LinuxTransport : SocketTransport
{
    private const int MaxCalls = 4;
    private const int MaxStaleErrors = 16;
    private const int BlockedWaitMicroseconds = 10_000;
    private const nuint TimerSlackNanoseconds = 1000;

    private readonly SafeSocketHandle _handle;
    private readonly EventFile _waker;
    private readonly ReceiveSlots _slots = new();
    private readonly SegmentedSends _sends = new();
    private readonly ErrorQueue _errors = new();
    private readonly List<Socket> _others = [];
    private Libc.PollFile[] _polled = new Libc.PollFile[2];
    private bool _segments;

    /// <param name="socket">Bound and non-blocking; it belongs to the transport.</param>
    public LinuxTransport(Socket socket)
        : base(socket)
    {
        _handle = socket.SafeHandle;
        _waker = new EventFile();
        _segments = Try(Libc.SOL_UDP, Libc.UDP_SEGMENT, 0);
        Try(Libc.SOL_UDP, Libc.UDP_GRO, 1);
        Try(Libc.SOL_SOCKET, Libc.SO_TIMESTAMPNS, 1);
        Try(Libc.SOL_IP, Libc.IP_RECVERR, 1);
        if (socket.AddressFamily == AddressFamily.InterNetworkV6)
        {
            Try(Libc.SOL_IPV6, Libc.IPV6_RECVERR, 1);
        }
    }

    /// <summary>Whether this machine can use it.</summary>
    public static bool IsSupported => OperatingSystem.IsLinux() && Environment.Is64BitProcess && BitConverter.IsLittleEndian;

    // By default the kernel may be 50 µs late, to save power.
    public override void Adopt() => Libc.ControlThread(Libc.PR_SET_TIMERSLACK, TimerSlackNanoseconds, 0, 0, 0);

    public override void Prepare()
    {
        _others.Clear();
        More.AddTo(_others);
        if (_polled.Length < _others.Count + 2)
        {
            _polled = new Libc.PollFile[_others.Count + 2];
        }

        _polled[0] = new Libc.PollFile { File = (int)_handle.DangerousGetHandle(), Wanted = Libc.POLLIN };
        _polled[1] = new Libc.PollFile { File = _waker.Number, Wanted = Libc.POLLIN };
        for (var index = 0; index < _others.Count; index++)
        {
            _polled[index + 2] = new Libc.PollFile { File = (int)_others[index].Handle, Wanted = Libc.POLLIN };
        }
    }

    public override bool Wait(long microseconds)
    {
        var added = false;
        try
        {
            // Whoever closes the socket meanwhile must not make us poll somebody else's.
            _handle.DangerousAddRef(ref added);
            var timeout = Libc.Timespec.OfMicroseconds(Math.Clamp(microseconds, 0, LongestWait));
            fixed (Libc.PollFile* files = _polled)
            {
                return Libc.Poll(files, (nuint)(_others.Count + 2), &timeout, null) > 0;
            }
        }
        finally
        {
            if (added)
            {
                _handle.DangerousRelease();
            }
        }
    }

    public override void Wake() => _waker.Signal();

    public override void Receive(List<Event> received, List<Slab> slabs)
    {
        if ((_polled[0].Seen & Libc.POLLNVAL) != 0)
        {
            throw new SocketException((int)SocketError.NotSocket);
        }

        if ((_polled[0].Seen & Libc.POLLERR) != 0)
        {
            _errors.Drain(_handle, OnTooLong);
        }

        if (_polled[1].Seen != 0)
        {
            _waker.Clear();
        }

        for (var index = 0; index < _others.Count; index++)
        {
            if (_polled[index + 2].Seen != 0)
            {
                More.OnReadable(_others[index]);
            }
        }

        if ((_polled[0].Seen & (Libc.POLLIN | Libc.POLLERR | Libc.POLLHUP)) != 0)
        {
            for (var calls = 0; calls < MaxCalls && _slots.Receive(_handle, received, slabs); calls++)
            {
            }
        }

        More.Receive(received);
    }

    public override void Dispose()
    {
        base.Dispose();
        _waker.Dispose();
        _slots.Dispose();
        _sends.Dispose();
        _errors.Dispose();
    }

    protected override SocketError TrySend(ReadOnlySpan<byte> datagram, SocketAddress address)
    {
        fixed (byte* start = datagram)
        fixed (byte* name = address.Buffer.Span)
        {
            var part = new Libc.Part { Start = start, Length = (nuint)datagram.Length };
            var message = new Libc.Message { Name = name, NameLength = (uint)address.Size, Parts = &part, PartCount = 1 };
            return Send(&message);
        }
    }

    protected override bool SendTrain(Endpoint remote, SocketAddress address, Train train)
    {
        var count = train.Count;
        var most = _segments ? SegmentedSends.Limit(train) : 1;
        fixed (byte* name = address.Buffer.Span)
        fixed (byte* payload = train.Payload.Span)
        {
            for (var start = 0; start < count;)
            {
                var taken = Math.Min(most, count - start);
                var error = Persist(new OneMessage(this, _sends.Prepare(train, start, taken, payload, name, address.Size)));
                if (error != SocketError.Success)
                {
                    if (taken > 1 && (error.IsTooLong() || error is SocketError.InvalidArgument or SocketError.SocketError))
                    {
                        // The segments are longer than the device takes; or this system, or this device, segments nothing.
                        _segments &= error.IsTooLong();
                        return SendPackets(remote, address, train, start, count - start);
                    }

                    if (error.IsTooLong())
                    {
                        News.Add(Event.NewTooLong(remote, train.LengthOf(start), 0));
                    }

                    Drop(count - start);
                    return !error.IsNoWay();
                }

                start += taken;
            }
        }

        return true;
    }

    protected override void WaitForRoom(SocketError reason)
    {
        if (reason == SocketError.NoBufferSpaceAvailable)
        {
            // A full device queue does not show as "not writable".
            var pause = Libc.Timespec.OfMicroseconds(1000);
            Libc.Poll(null, 0, &pause, null);
        }
        else
        {
            Socket.Poll(BlockedWaitMicroseconds, SelectMode.SelectWrite);
        }
    }

    protected override bool MayBeStale(SocketError error, int failures) =>
        (_errors.Drain(_handle, OnTooLong) && !error.IsTooLong() && failures < MaxStaleErrors)
        || base.MayBeStale(error, failures);

    private SocketError Send(Libc.Message* message) =>
        Libc.Send(_handle, message, Libc.MSG_DONTWAIT) >= 0 ? SocketError.Success : SocketErrors.OfLinux(Marshal.GetLastPInvokeError());

    // How long the datagram was it does not say: longer than what passes.
    private void OnTooLong(Endpoint remote, int limit) => News.Add(Event.NewTooLong(remote, limit + 1, limit));

    private bool Try(int level, int name, int value)
    {
        try
        {
            Socket.SetRawSocketOption(level, name, MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in value)));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private readonly struct OneMessage(LinuxTransport transport, Libc.Message* message) : IAttempt
    {
        private readonly Libc.Message* _message = message;

        public SocketError Make() => transport.Send(_message);
    }
}
