using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// The limit of one system call per datagram: blocking sockets, no protocol, no retransmission. Arrived bytes are counted. Each datagram
/// begins with its number and ends with the inverted number.
/// </summary>
internal static class DatagramRoles
{
    public const int Size = 1400;
    private const int SocketBuffer = 4 << 20;

    // So that a blocked reader notices `stop`.
    private const int TimeoutMilliseconds = 100;

    public static Task ReadAsync(PeerLink link, RoleArguments words) => Task.Run(() =>
    {
        using var socket = Bind();
        var count = new Counter(link);
        link.TellPort(((IPEndPoint)socket.LocalEndPoint!).Port);
        var source = new SocketAddress(AddressFamily.InterNetwork);
        Span<byte> buffer = new byte[65536];
        while (!link.Stopped.IsCancellationRequested)
        {
            try
            {
                var length = socket.ReceiveFrom(buffer, SocketFlags.None, source);
                Check(buffer[..length]);
                count.Add(length);
            }
            catch (SocketException error) when (error.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
            {
            }
        }

        count.TellDone();
    });

    public static Task WriteAsync(PeerLink link, RoleArguments words) => Task.Run(() =>
    {
        using var socket = Create();
        var target = StreamProtocol.TargetOf(words).Serialize();
        var count = new Counter(link);
        Span<byte> datagram = new byte[Size];
        link.Tell("started");
        for (var number = 0L; !link.Stopped.IsCancellationRequested; number++)
        {
            Number(datagram, number);
            count.Add(socket.SendTo(datagram, SocketFlags.None, target));
        }

        count.TellDone();
    });

    public static Task EchoAsync(PeerLink link, RoleArguments words) => Task.Run(() =>
    {
        using var socket = Create();
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        link.Start();
        link.TellPort(((IPEndPoint)socket.LocalEndPoint!).Port);
        var source = new SocketAddress(AddressFamily.InterNetwork);
        Span<byte> buffer = new byte[16];
        while (true)
        {
            var length = socket.ReceiveFrom(buffer, SocketFlags.None, source);
            socket.SendTo(buffer[..length], SocketFlags.None, source);
        }
    });

    public static Task PingAsync(PeerLink link, RoleArguments words) => Task.Run(() =>
    {
        using var socket = Create();
        socket.ReceiveTimeout = 5000;
        var target = StreamProtocol.TargetOf(words).Serialize();
        var source = new SocketAddress(AddressFamily.InterNetwork);
        var datagram = new byte[1];
        link.Start();
        EchoRoles.Tell(link, EchoRoles.Time(words.Number("count"), () =>
        {
            socket.SendTo(datagram, SocketFlags.None, target);
            return socket.ReceiveFrom(datagram.AsSpan(), SocketFlags.None, source);
        }));
    });

    /// <summary>Writes the number of a datagram at its beginning and its end.</summary>
    public static void Number(Span<byte> datagram, long number)
    {
        BinaryPrimitives.WriteInt64LittleEndian(datagram, number);
        BinaryPrimitives.WriteInt64LittleEndian(datagram[^8..], ~number);
    }

    /// <summary>Throws if the datagram is damaged.</summary>
    public static void Check(ReadOnlySpan<byte> datagram)
    {
        if (datagram.Length != Size
            || BinaryPrimitives.ReadInt64LittleEndian(datagram) != ~BinaryPrimitives.ReadInt64LittleEndian(datagram[^8..]))
        {
            throw new InvalidDataException($"a datagram of {datagram.Length} bytes is not one that was sent");
        }
    }

    /// <summary>A socket for a reader, whose receive times out.</summary>
    public static Socket Bind()
    {
        var socket = Create();
        socket.ReceiveTimeout = TimeoutMilliseconds;
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    public static Socket Create() => new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)
    {
        ReceiveBufferSize = SocketBuffer,
        SendBufferSize = SocketBuffer,
    };

    /// <summary>The bytes so far; only one thread adds to them.</summary>
    internal sealed class Counter
    {
        private readonly PeerLink _link;
        private long _count;

        public Counter(PeerLink link)
        {
            _link = link;
            link.Count(() => [Volatile.Read(ref _count)]);
            link.Start();
        }

        public void Add(int bytes) => Volatile.Write(ref _count, _count + bytes);

        public void TellDone() => BulkRoles.TellDone(_link, [_count]);
    }
}
