using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>What lies between the socket and the core, in parts.</summary>
public static class Transports
{
    [Fact("addresses are equal after every conversion")]
    public static void AddressForms()
    {
        foreach (var text in new[] { "1.2.3.4:5", "255.0.0.1:65535", "[2001:db8::7]:80", "[::1]:1", "[fe80::1%3]:9" })
        {
            var endPoint = IPEndPoint.Parse(text);
            var endpoint = Addresses.ToEndpoint(endPoint);
            Check.Equal(endPoint, Addresses.ToIPEndPoint(endpoint));
            Check.Equal(endpoint, Addresses.Read(endPoint.Serialize()));
            Check.Equal(endpoint, Addresses.Read(Addresses.Write(endpoint, AddressFamily.InterNetworkV6)!));
            var four = Addresses.Write(endpoint, AddressFamily.InterNetwork);
            Check.Equal(endPoint.AddressFamily == AddressFamily.InterNetwork ? endPoint.Serialize() : null, four);
        }

        Check.Equal(
            Addresses.ToEndpoint(IPEndPoint.Parse("1.2.3.4:5")), Addresses.ToEndpoint(new IPEndPoint(IPAddress.Parse("::ffff:1.2.3.4"), 5)));
        Check.Equal(0u, Addresses.ToEndpoint(new IPEndPoint(new IPAddress(IPAddress.IPv6Loopback.GetAddressBytes(), 4), 5)).Scope);
    }

    [Fact("adjacent datagrams of one source and one size become one event; the last may be shorter")]
    public static void Runs()
    {
        var (a, b) = (Endpoint("1.1.1.1:1"), Endpoint("2.2.2.2:2"));
        var events = Received(
            (a, 100), (a, 100), (a, 60),
            (a, 100), (b, 100), (b, 100),
            (a, 50), (a, 60), (a, 0), (a, 60),
            (b, 3));
        Check.Equal(
            "a:100:260 a:100:100 b:100:200 a:50:50 a:60:60 a:1:0 a:60:60 b:3:3",
            string.Join(' ', events.Select(received =>
                $"{(received.from.Equals(a) ? "a" : "b")}:{received.datagrams.SegmentSize}:{received.datagrams.Length}")));
    }

    [Fact("datagrams that arrive a millisecond apart are not in one run: each run has one arrival time")]
    public static void RunsInTime()
    {
        var events = new List<Event>();
        var runs = new ReceivedRuns();
        runs.Begin(events);
        foreach (var arrivedAt in new[] { 5000, 5400, 6000, 6001, 6500, 9000, 3000 })
        {
            runs.Room(100);
            runs.Add(Endpoint("1.1.1.1:1"), 100, 100, arrivedAt);
        }

        runs.Flush();
        Check.Equal(
            "3@5000 2@6001 2@9000",
            string.Join(' ', events.Cast<Event.Received>().Select(one => $"{one.datagrams.Count}@{one.datagrams.ArrivedAt}")));
    }

    [Fact("a run never crosses slabs, and no byte of a slab is used twice")]
    public static void Slabs()
    {
        var source = Endpoint("1.1.1.1:1");
        var events = Received([.. Enumerable.Repeat((source, 1400), 200), (source, 65507), (source, 1400)]);
        var counts = events.Select(received => received.datagrams.Count).ToArray();
        Check.Equal("46 46 46 46 16 1 1", string.Join(' ', counts));
        foreach (var slab in events.GroupBy(received => received.datagrams.Buffer))
        {
            var end = 0;
            foreach (var received in slab)
            {
                Check.That(received.datagrams.Offset >= end);
                end = received.datagrams.Offset + received.datagrams.Length;
            }
        }
    }

    [Fact("a wait ends by a datagram, by a wake, or by its time")]
    public static async Task Waits()
    {
        using var transport = Bind(IPAddress.Loopback);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        var received = new List<Event>();
        transport.Await(0);
        transport.Receive(received, []);
        Check.Equal(0, received.Count);
        transport.Await(20_000);
        transport.Wake();
        await Task.Run(() => transport.Await(long.MaxValue)).Within();
        var waiting = Task.Run(() => transport.Await(long.MaxValue));
        transport.Wake();
        await waiting.Within();
        for (var count = 0; count < 300; count++)
        {
            socket.SendTo(new byte[100], transport.LocalEndPoint);
        }

        var datagrams = 0;
        while (datagrams < 300)
        {
            received.Clear();
            await Task.Run(() => transport.Await(long.MaxValue)).Within();
            transport.Receive(received, []);
            Check.That(received.Count > 0);
            datagrams += received.Sum(one => ((Event.Received)one).datagrams.Count);
        }

        Check.Equal(300, datagrams);
    }

    [Fact("a system that does not report the length of the next datagram is supported")]
    public static async Task WithoutLengths()
    {
        await using var server = Node();
        await using var client = Node();
        var listener = server.Listen();
        var near = await client.ConnectAsync(server.LocalEndPoint).Within();
        var far = await listener.AcceptAsync().Within();
        var sent = Waiting.Bytes(3_000_000);
        var writing = near.WriteAsync(sent, completeWrites: true).AsTask();
        Waiting.Same(sent, await far.ReadToEndAsync());
        await writing.Within();
        client.Dispose();
        server.Dispose();

        static UtpNode Node()
        {
            var socket = SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 1 << 20, 1 << 20);
            return UtpNode.Over(new ManagedTransport([socket], saysNextLength: false), UtpNodeOptionsCheck.Freeze(new UtpNodeOptions()));
        }
    }

    [Fact("sending without a route fails, and sending to a closed port does not")]
    public static void Sending()
    {
        using var transport = Bind(IPAddress.IPv6Loopback);
        Check.That(transport.Send(Endpoint("[::1]:9"), new byte[10]) is null);
        Check.That(transport.Send(Endpoint("[::1]:9"), new byte[10]) is null);
        Check.That(transport.Send(Endpoint("192.0.2.1:9"), new byte[10]) is not null);
        Check.That(transport.Speaks(Endpoint("192.0.2.1:9")));
        using var four = Bind(IPAddress.Loopback);
        Check.That(!four.Speaks(Endpoint("[::1]:9")));
        for (var port = 1; port < 3000; port++)
        {
            Check.That(four.Send(Endpoint($"127.0.0.1:{port}"), new byte[1]) is null);
        }
    }

    [Fact("a stuck device causes one bounded wait, and unsent packets are counted as dropped")]
    public static void Stuck()
    {
        const int Count = 46;
        var tries = 0;
        var stuck = true;
        using var transport = With(_ =>
        {
            tries++;
            return stuck ? SocketError.NoBufferSpaceAvailable : SocketError.Success;
        });
        var train = Train(Count);
        var remote = Endpoint("127.0.0.1:9");
        Check.That(transport.Send(remote, train), "it is loss, and no word about the way");
        var first = tries;
        Check.That(first is > 1 and < 200, $"one packet was tried {first} times, the others not at all");
        Check.Equal((long)Count, transport.Dropped);
        transport.Send(remote, train);
        Check.Equal(first + 1, tries, "tries of the next train, which does not wait any more");
        Check.Equal(2L * Count, transport.Dropped);
        stuck = false;
        Check.That(transport.Send(remote, train));
        Check.Equal(first + 1 + Count, tries);
        Check.Equal(2L * Count, transport.Dropped);
        stuck = true;
        transport.Send(remote, train);
        Check.Equal(2 * first + 1 + Count, tries, "tries after it had worked again: it may wait once more");
    }

    [Fact("packets that the system does not send are counted, for any reason")]
    public static void Dropped()
    {
        var remote = Endpoint("127.0.0.1:9");
        var fails = 0;
        using var noWay = With(_ => ++fails > 3 ? SocketError.HostUnreachable : SocketError.Success);
        Check.That(!noWay.Send(remote, Train(10)));
        Check.Equal(7L, noWay.Dropped);
        Check.Equal(SocketError.HostUnreachable, noWay.Send(remote, new byte[1])!.SocketErrorCode);
        Check.Equal(8L, noWay.Dropped);
        using var tooLong = With(length => length > 1000 ? SocketError.MessageSize : SocketError.Success);
        Check.That(tooLong.Send(remote, Train(10)), "the last packet is short, so it is sent");
        Check.Equal(9L, tooLong.Dropped);
        var hint = (Event.TooLong)tooLong.News.Single();
        Check.That(hint.size == 1400 && hint.limit == 0 && hint.remote.Equals(remote), "it is told, once a train");
        Check.That(!tooLong.Send(Endpoint("[::1]:9"), Train(10)));
        Check.Equal(19L, tooLong.Dropped);
        var once = 0;
        using var icmp = With(_ => once++ == 0 ? SocketError.ConnectionRefused : SocketError.Success);
        Check.That(icmp.Send(remote, Train(10)), "what an earlier datagram has caused is not this one's");
        Check.Equal(0L, icmp.Dropped);
    }

    [Fact("received bytes are read in order, whole and in parts, copied or not")]
    public static void ReceivedBytesInOrder()
    {
        var random = new System.Random(5);
        var bytes = new ReceivedBytes();
        var (written, read) = (0, 0);
        for (var round = 0; round < 20_000; round++)
        {
            if (random.Next(3) > 0)
            {
                // A strided view, as of packets with headers between them.
                var (pieces, size) = (random.Next(1, 5), random.Next(1, 50));
                var length = (pieces * size) - random.Next(size);
                var buffer = new byte[random.Next(2) == 0 ? 4 + (pieces * (size + 3)) : 4096];
                var payload = new Payload(buffer, 4, size + 3, size, length);
                for (var index = 0; index < length; index++)
                {
                    buffer[4 + (index / size * (size + 3)) + (index % size)] = (byte)(written++ * 7);
                }

                bytes.Add(payload, null, sparing: random.Next(2) == 0);
            }
            else if (bytes.Length > 0)
            {
                var target = new byte[random.Next(1, 200)];
                var count = bytes.Head(out var already).CopyTo(already, target);
                bytes.Advance(count);
                for (var index = 0; index < count; index++)
                {
                    Check.Equal((byte)(read++ * 7), target[index]);
                }
            }

            Check.Equal(written - read, bytes.Length);
        }
    }

    [Fact("small payloads are copied together and do not keep slabs alive")]
    public static void SmallPayloads()
    {
        var bytes = new ReceivedBytes();
        for (var index = 0; index < 100; index++)
        {
            bytes.Add(new Payload(new byte[Slab.Size], 0, 100, 100, 100), null, sparing: false);
        }

        // The first came alone, into an array of its size; the others waited and share theirs.
        Check.Equal(100, bytes.Head(out _).Buffer.Length);
        bytes.Advance(100);
        Check.That(bytes.Head(out _).Buffer.Length < 2000);
        Check.That(bytes.Head(out _).Length > 500);
    }

    [Fact("written bytes come out in order, in chunks of whole packets, and small ones together")]
    public static void WrittenBytesInOrder()
    {
        const int Packet = 1380;
        var random = new System.Random(6);
        var bytes = new WrittenBytes(Packet, recycles: true);
        var events = new List<Event>();
        var (written, read) = (0, 0);
        for (var round = 0; round < 5000; round++)
        {
            var wanted = random.Next(4) switch { 0 => random.Next(1, 200_000), 1 => random.Next(1, 3000), _ => 1 };
            while (wanted > 0)
            {
                var place = bytes.Place(wanted);
                Check.That(place.Length > 0 && place.Length <= wanted);
                if (random.Next(10) == 0)
                {
                    Read(); // The engine comes between.
                }

                for (var index = 0; index < place.Length; index++)
                {
                    place[index] = (byte)(written++ * 3);
                }

                bytes.Commit(place.Length);
                wanted -= place.Length;
            }

            if (random.Next(3) == 0)
            {
                Read();
            }
        }

        Read();
        Check.Equal(written, read);

        void Read()
        {
            events.Clear();
            bytes.Drain(2, events);
            foreach (var chunk in events.Cast<Event.Write>())
            {
                Check.That(chunk.bytes.Length <= bytes.MaxChunk);
                foreach (var value in chunk.bytes.Span)
                {
                    Check.Equal((byte)(read++ * 3), value);
                }
            }
        }
    }

    [Fact("a large write is cut into whole packets")]
    public static void WholePackets()
    {
        var bytes = new WrittenBytes(1380, recycles: true);
        var wanted = 500_000;
        while (wanted > 0)
        {
            var place = bytes.Place(wanted).Length;
            bytes.Commit(place);
            wanted -= place;
        }

        var events = new List<Event>();
        bytes.Drain(2, events);
        Check.That(events.SkipLast(1).Cast<Event.Write>().All(chunk => chunk.bytes.Length % 1380 == 0));
        Check.Equal(0, bytes.MaxChunk % 1380);
    }

    /// <summary>A transport whose system answers as it is told, by the length of the datagram.</summary>
    private static ManagedTransport With(Func<int, SocketError> answer) =>
        new([SocketFactory.Bind(new IPEndPoint(IPAddress.Loopback, 0), 1 << 20, 1 << 20)], saysNextLength: true, (datagram, _) =>
        {
            if (answer(datagram.Length) is not SocketError.Success and var error)
            {
                throw new SocketException((int)error);
            }
        });

    /// <summary>Packets of 1400 bytes, but for a last one of 21.</summary>
    private static Train Train(int count) => new(new Header(), new Owned([]), new Owned(new byte[((count - 1) * 1380) + 1]), 1380);

    /// <summary>The transport that this run of the tests is about.</summary>
    private static IDatagramTransport Bind(IPAddress address) =>
        TransportChoice.Bind(new UtpNodeOptions { LocalEndPoint = new IPEndPoint(address, 0) });

    private static void Await(this IDatagramTransport transport, long microseconds)
    {
        transport.Prepare();
        transport.Wait(microseconds);
    }

    private static Endpoint Endpoint(string text) => Addresses.ToEndpoint(IPEndPoint.Parse(text));

    private static List<Event.Received> Received(params (Endpoint Source, int Length)[] datagrams)
    {
        var events = new List<Event>();
        var runs = new ReceivedRuns();
        runs.Begin(events);
        foreach (var (source, length) in datagrams)
        {
            Check.That(runs.Room(length).Length >= length);
            runs.Add(source, length, length, 0);
        }

        runs.Flush();
        return events.Cast<Event.Received>().ToList();
    }
}
