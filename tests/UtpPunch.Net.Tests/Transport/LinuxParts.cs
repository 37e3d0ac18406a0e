using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>What tests of the Linux transport are made of.</summary>
internal static class LinuxParts
{
    /// <summary>System calls of which some are refused, as a sandbox does.</summary>
    public sealed unsafe class Sandbox : LinuxCalls
    {
        /// <summary>The <c>errno</c> for each refused call; 0 permits it.</summary>
        public int ReceiveManyError { get; set; }

        public int ReceiveError { get; set; }

        public int PollError { get; set; }

        public bool HasNoEventFiles { get; set; }

        /// <summary>How many calls of <c>recvmmsg</c> there were.</summary>
        public int ManyCalls { get; private set; }

        public override int ReceiveMany(SafeHandle socket, Libc.MessageOfMany* messages, uint count)
        {
            ManyCalls++;
            return ReceiveManyError != 0 ? -ReceiveManyError : base.ReceiveMany(socket, messages, count);
        }

        public override int Receive(SafeHandle socket, Libc.Message* message) =>
            ReceiveError != 0 ? -ReceiveError : base.Receive(socket, message);

        public override int Poll(Libc.PollFile* files, int count, Libc.Timespec* timeout) =>
            PollError != 0 ? -PollError : base.Poll(files, count, timeout);

        public override SafeFileHandle CreateEventFile() => HasNoEventFiles ? new SafeFileHandle(-1, false) : base.CreateEventFile();
    }

    /// <summary>A transport whose calls of <c>sendmsg</c> are recorded, and answered by the test if it chooses to.</summary>
    public sealed unsafe class Kernel : LinuxCalls, IDisposable
    {
        /// <param name="address">The address to bind; by default the loopback address.</param>
        public Kernel(IPAddress? address = null)
        {
            Skip.Unless(LinuxTransport.IsSupported, "needs Linux in 64 bits");
            Transport = new LinuxTransport([SocketFactory.Bind(new IPEndPoint(address ?? IPAddress.Loopback, 0), 4 << 20, 4 << 20)], this);
        }

        public LinuxTransport Transport { get; }

        /// <summary>Bytes in all, and of a segment; 0 where none is asked for.</summary>
        public List<(int Length, int Segment)> Calls { get; } = [];

        /// <summary>Which of the calls have named a source.</summary>
        public List<bool> Sources { get; } = [];

        /// <summary>The number of an error, or 0 for the system's own answer.</summary>
        public Func<(int Length, int Segment), int> Verdict { get; set; } = _ => 0;

        public void Dispose() => Transport.Dispose();

        public override int Send(SafeHandle socket, Libc.Message* message)
        {
            var length = 0;
            for (nuint part = 0; part < message->PartCount; part++)
            {
                length += (int)message->Parts[part].Length;
            }

            var segment = 0;
            var source = false;
            var controls = new ControlMessages(message);
            while (controls.Next())
            {
                segment = controls.Type == Libc.UDP_SEGMENT ? *(ushort*)controls.Data : segment;
                source |= SourceControl.TryRead(controls, out _);
            }

            Calls.Add((length, segment));
            Sources.Add(source);
            return Verdict(Calls[^1]) is not 0 and var error ? error : base.Send(socket, message);
        }
    }

    public static LinuxTransport Bind(LinuxCalls? calls = null)
    {
        Skip.Unless(LinuxTransport.IsSupported, "needs Linux in 64 bits");
        return new LinuxTransport([SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 4 << 20, 4 << 20)], calls);
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

    /// <summary>Packets with <paramref name="payload"/> bytes each; the last one has one byte.</summary>
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

    /// <summary>Receives until <paramref name="count"/> datagrams have arrived. Their slabs are not released.</summary>
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
