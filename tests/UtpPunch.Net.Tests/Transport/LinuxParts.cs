using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>What tests of the Linux transport are made of.</summary>
internal static class LinuxParts
{
    /// <summary>A transport whose system calls are looked at, and answered in the system's place where that is wished for.</summary>
    public sealed unsafe class Kernel : IDisposable
    {
        public Kernel()
        {
            Skip.Unless(LinuxTransport.IsSupported, "needs Linux in 64 bits");
            Transport = new LinuxTransport(SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 4 << 20, 4 << 20), Send);
        }

        public LinuxTransport Transport { get; }

        /// <summary>Bytes in all, and of a segment; 0 where none is asked for.</summary>
        public List<(int Length, int Segment)> Calls { get; } = [];

        /// <summary>The number of an error, or 0 for the system's own answer.</summary>
        public Func<(int Length, int Segment), int> Verdict { get; set; } = _ => 0;

        public void Dispose() => Transport.Dispose();

        private int Send(SafeHandle socket, Libc.Message* message)
        {
            var length = 0;
            for (nuint part = 0; part < message->PartCount; part++)
            {
                length += (int)message->Parts[part].Length;
            }

            var segment = message->Control is null ? 0 : *(ushort*)(message->Control + sizeof(Libc.ControlHeader));
            Calls.Add((length, segment));
            return Verdict(Calls[^1]) is not 0 and var error ? error : Libc.TrySend(socket, message);
        }
    }

    public static LinuxTransport Bind()
    {
        Skip.Unless(LinuxTransport.IsSupported, "needs Linux in 64 bits");
        return new LinuxTransport(SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 4 << 20, 4 << 20));
    }

    public static Socket Receiver()
    {
        var socket = SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 4 << 20, 4 << 20);
        socket.Blocking = true;
        socket.ReceiveTimeout = 10_000;
        return socket;
    }

    public static Endpoint EndpointOf(Socket socket) => Addresses.ToEndpoint((IPEndPoint)socket.LocalEndPoint!);

    /// <summary>A port that was free a moment ago.</summary>
    public static Endpoint Closed()
    {
        using var socket = SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 1 << 16, 1 << 16);
        return EndpointOf(socket);
    }

    /// <summary>So many packets that carry so much each, but the last, which carries one byte.</summary>
    public static Train Train(int count, int payload) =>
        new(new Header(), new Owned([]), new Owned(Waiting.Bytes(((count - 1) * payload) + (count == 1 ? payload : 1), count)), payload);

    public static IEnumerable<byte[]> Packets(Train train)
    {
        for (var index = 0; index < train.Count; index++)
        {
            var packet = new byte[train.LengthOf(index)];
            train.Write(index, packet);
            yield return packet;
        }
    }

    public static void CheckPackets(Train train, Socket receiver)
    {
        var buffer = new byte[65_536];
        foreach (var packet in Packets(train))
        {
            Check.Equal(packet, buffer.AsSpan(0, receiver.Receive(buffer)));
        }

        Check.Equal(0, receiver.Available);
    }

    public static void CheckPackets(Train train, Datagrams datagrams)
    {
        Check.Equal(train.Count, datagrams.Count);
        foreach (var (packet, index) in Packets(train).Select((packet, index) => (packet, index)))
        {
            Check.Equal(packet, datagrams[index].Span);
        }
    }

    /// <summary>Receives until so many datagrams have come. Their slabs are not released.</summary>
    public static List<Event.Received> Collect(LinuxTransport transport, int count)
    {
        var received = new List<Event>();
        var started = Clock.Now;
        while (received.Cast<Event.Received>().Sum(one => one.datagrams.Count) < count)
        {
            Check.That(Clock.Now - started < 20 * Clock.MicrosecondsPerSecond, $"in time: {count} datagrams");
            transport.Await(1_000_000);
            transport.Receive(received, []);
        }

        return received.Cast<Event.Received>().ToList();
    }

    public static void Await(this LinuxTransport transport, long microseconds)
    {
        transport.Prepare();
        transport.Wait(microseconds);
    }

    public static int Option(Socket socket, int level, int name)
    {
        Span<byte> value = stackalloc byte[sizeof(int)];
        socket.GetRawSocketOption(level, name, value);
        return BitConverter.ToInt32(value);
    }
}
