using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;
using static UtpPunch.Tests.LinuxParts;

namespace UtpPunch.Tests;

/// <summary>The transport for Linux: system calls of many datagrams, their errors, and their times.</summary>
public static class LinuxTransports
{
    private const int EIO = 5;
    private const int EAGAIN = 11;
    private const int EPERM = 1;
    private const int EINVAL = 22;
    private const int EMSGSIZE = 90;
    private const int ENETUNREACH = 101;
    private const int ENOBUFS = 105;
    private const int EHOSTUNREACH = 113;
    private const string Only = TransportUnderTest.Linux;

    [Fact("a train is one system call, and arrives as the packets that it holds, in order, the last one shorter", Over = Only)]
    public static void OneCall()
    {
        using var system = new Kernel();
        using var raw = Receiver();
        var train = Train(41, 1380);
        Check.That(system.Transport.Send(EndpointOf(raw), train));
        Check.Equal(1, system.Calls.Count);
        Check.Equal((1400 * 40) + 21, system.Calls[0].Length);
        Check.Equal(1400, system.Calls[0].Segment);
        CheckPackets(train, raw);

        using var coalescing = Bind();
        Check.That(system.Transport.Send(Addresses.ToEndpoint(coalescing.LocalEndPoint), train));
        Check.Equal(2, system.Calls.Count);
        var events = Collect(coalescing, 41);
        Check.Equal(1, events.Count, "events: the kernel has coalesced them");
        CheckPackets(train, events[0].datagrams);
        Check.Equal(0L, system.Transport.Dropped);
    }

    [Fact("a train of more than 64 packets, or of more than 64 KiB, is cut into calls that the system takes", Over = Only)]
    public static void Cut()
    {
        using var system = new Kernel();
        using var raw = Receiver();
        foreach (var (count, payload, calls) in new[] { (200, 80, 4), (64, 80, 1), (65, 80, 2), (100, 1380, 3), (5, 16_000, 2), (3, 40_000, 3), (1, 65_487, 1) })
        {
            system.Calls.Clear();
            var train = Train(count, payload);
            Check.That(system.Transport.Send(EndpointOf(raw), train));
            Check.Equal(calls, system.Calls.Count, $"calls for {count} packets of {payload}");
            Check.That(system.Calls.All(call => call.Length <= 65_507));
            CheckPackets(train, raw);
        }

        Check.Equal(0L, system.Transport.Dropped);
    }

    [Fact("after a refusal segmentation is not tried again, and nothing is lost", Over = Only)]
    public static void Refused()
    {
        foreach (var refusal in new[] { EINVAL, EIO })
        {
            using var system = new Kernel { Verdict = call => call.Segment > 0 ? refusal : 0 };
            using var raw = Receiver();
            var train = Train(10, 1380);
            Check.That(system.Transport.Send(EndpointOf(raw), train));
            CheckPackets(train, raw);
            system.Calls.Clear();
            Check.That(system.Transport.Send(EndpointOf(raw), train));
            CheckPackets(train, raw);
            Check.Equal(10, system.Calls.Count, "calls, one for each packet");
            Check.Equal(0L, system.Transport.Dropped);
        }
    }

    [Fact("packets to an endpoint that trains do not reach are sent one by one for the time given, those to others in trains", Over = Only)]
    public static void OneByOne()
    {
        using var system = new Kernel();
        using var raw = Receiver();
        using var other = Receiver();
        var train = Train(5, 1380);
        system.Transport.SendAlone(EndpointOf(raw), 60 * Clock.MicrosecondsPerSecond);
        foreach (var (socket, calls) in new[] { (raw, 5), (other, 1), (raw, 5) })
        {
            system.Calls.Clear();
            Check.That(system.Transport.Send(EndpointOf(socket), train));
            Check.Equal(calls, system.Calls.Count);
            CheckPackets(train, socket);
        }

        system.Transport.SendAlone(EndpointOf(raw), 0);
        system.Calls.Clear();
        Check.That(system.Transport.Send(EndpointOf(raw), train));
        Check.Equal(1, system.Calls.Count, "calls when the time is over");
    }

    [Fact("a refusal for another reason does not end segmentation", Over = Only)]
    public static void RefusedForOtherReasons()
    {
        using var raw = Receiver();
        foreach (var refusal in new[] { ENETUNREACH, EHOSTUNREACH, EPERM, EINVAL, EMSGSIZE })
        {
            using var system = new Kernel { Verdict = _ => refusal };
            var train = Train(10, 1380);
            var saysNoWay = refusal is ENETUNREACH or EHOSTUNREACH or EINVAL;
            Check.Equal(!saysNoWay, system.Transport.Send(EndpointOf(raw), train), $"has a way after {refusal}");
            Check.Equal(10L, system.Transport.Dropped);
            system.Verdict = _ => 0;
            system.Calls.Clear();
            Check.That(system.Transport.Send(EndpointOf(raw), train));
            Check.Equal(1, system.Calls.Count, $"calls after {refusal}");
            CheckPackets(train, raw);
        }
    }

    [Fact("packets that are longer than the device takes are tried one by one and counted as dropped, those that fit are sent", Over = Only)]
    public static void TooLong()
    {
        // As a device of that size answers: for the longest segment, or the whole datagram.
        using var system = new Kernel { Verdict = call => (call.Segment > 0 ? call.Segment : call.Length) > 1000 ? EMSGSIZE : 0 };
        using var raw = Receiver();
        Check.That(system.Transport.Send(EndpointOf(raw), Train(10, 1380)), "the last packet is short, so it is sent");
        Check.Equal(9L, system.Transport.Dropped);
        Check.Equal(21, raw.Receive(new byte[2000]));
        system.Calls.Clear();
        var smaller = Train(10, 900);
        Check.That(system.Transport.Send(EndpointOf(raw), smaller));
        Check.Equal(1, system.Calls.Count, "calls for smaller packets");
        CheckPackets(smaller, raw);
        Check.Equal(SocketError.MessageSize, system.Transport.Send(EndpointOf(raw), new byte[1200])!.SocketErrorCode);
        Check.Equal(10L, system.Transport.Dropped);
    }

    [Fact("a send waits while the buffer or the device is full, and nothing is lost", Over = Only)]
    public static void BackPressure()
    {
        foreach (var full in new[] { EAGAIN, ENOBUFS })
        {
            var left = 0;
            using var system = new Kernel();
            using var raw = Receiver();
            system.Verdict = _ => left-- > 0 ? full : 0;
            for (var round = 0; round < 5; round++)
            {
                left = 7;
                var train = Train(20, 1380);
                Check.That(system.Transport.Send(EndpointOf(raw), train));
                CheckPackets(train, raw);
            }

            Check.Equal(5 * 8, system.Calls.Count);
            Check.Equal(0L, system.Transport.Dropped);
        }
    }

    [Fact("a stuck device causes one bounded wait, and unsent packets are counted as dropped", Over = Only)]
    public static void Stuck()
    {
        foreach (var full in new[] { EAGAIN, ENOBUFS })
        {
            using var system = new Kernel { Verdict = _ => full };
            using var raw = Receiver();
            var train = Train(100, 1380);
            Check.That(system.Transport.Send(EndpointOf(raw), train), "it is loss, and no word about the way");
            var first = system.Calls.Count;
            Check.That(first is > 1 and < 200, $"one call was tried {first} times, the others not at all");
            Check.Equal(100L, system.Transport.Dropped);
            Check.That(system.Transport.Send(EndpointOf(raw), train));
            Check.Equal(first + 1, system.Calls.Count, "tries of the next train, which does not wait any more");
            Check.Equal(200L, system.Transport.Dropped);
            system.Verdict = _ => 0;
            Check.That(system.Transport.Send(EndpointOf(raw), train));
            CheckPackets(train, raw);
            system.Verdict = _ => full;
            system.Calls.Clear();
            system.Transport.Send(EndpointOf(raw), train);
            Check.Equal(first, system.Calls.Count, "tries after it had worked again: it may wait once more");
        }
    }

    [Fact("an ICMP error for one peer neither loses a datagram to another one nor makes it unreachable", Over = Only)]
    public static void ForeignErrors()
    {
        using var transport = Bind();
        using var raw = Receiver();
        var (closed, live) = (Closed(), EndpointOf(raw));
        var train = Train(3, 1000);
        for (var round = 0; round < 300; round++)
        {
            // What the closed port answers is reported by whatever call comes next, once.
            Check.That(transport.Send(closed, new byte[10]) is null, "sending to a closed port is no failure");
            if (round % 3 == 0)
            {
                Check.That(transport.Send(closed, train), "nor does a train");
            }

            Check.That(transport.Send(live, train), "the live one is reachable");
            CheckPackets(train, raw);
            Check.That(transport.Send(live, [1, 2, 3]) is null);
            Check.Equal(3, raw.Receive(new byte[10]));
        }

        Check.Equal(0L, transport.Dropped);
    }

    [Fact("errors that belong to others never count as having no way, however many there are", Over = Only)]
    public static void ManyForeignErrors()
    {
        using var transport = Bind();
        using var raw = Receiver();
        var refused = 0;
        var closed = Addresses.Write(Closed(), AddressFamily.InterNetwork)!;
        for (var round = 0; round < 3; round++)
        {
            // Past the transport, so that nothing looks at the queue meanwhile.
            for (var count = 0; count < 3000; count++)
            {
                try
                {
                    transport.Socket.SendTo(new byte[10], SocketFlags.None, closed);
                }
                catch (SocketException)
                {
                    refused++; // The one before.
                }
            }

            Check.That(transport.Send(EndpointOf(raw), [1, 2, 3]) is null);
            Check.Equal(3, raw.Receive(new byte[10]));
        }

        Check.That(refused > 1000, $"{refused} errors were told");
    }

    [Fact("errors do not end waits repeatedly, and datagrams are received between them", Over = Only)]
    public static void NoSpinning()
    {
        using var transport = Bind();
        using var raw = Receiver();
        var closed = Closed();
        var received = new List<Event>();
        var waits = 0;
        for (var round = 0; round < 100; round++)
        {
            transport.Send(closed, new byte[10]);
            raw.SendTo([7], transport.LocalEndPoint);
            received.Clear();
            while (received.Count == 0)
            {
                transport.Await(5_000_000);
                transport.Receive(received, []);
                waits++;
            }

            Check.Equal(1, received.Count);
        }

        Check.That(waits <= 300, $"100 datagrams and 100 errors ended {waits} waits");

        // All is said by now: the next wait but one takes its time.
        transport.Await(0);
        transport.Receive(received, []);
        var started = Clock.Now;
        transport.Await(30_000);
        Check.That(Clock.Now - started >= 30_000, "nothing is left to end a wait");
    }

    [Fact("a node under a stream of ICMP errors takes a step for each, and no more", Over = Only)]
    public static async Task NodeUnderErrors()
    {
        const int Count = 300;
        await using var pair = await Pair.OpenAsync(options => options.SocketMode = UtpSocketMode.Linux);
        var closed = Addresses.ToIPEndPoint(Closed());
        var before = pair.Client.Engine.Steps;
        for (var round = 0; round < Count; round++)
        {
            await pair.Client.SendDatagramAsync(new byte[10], closed).Within();
        }

        await pair.Near.WriteAsync("still here"u8.ToArray(), completeWrites: true).Within();
        Waiting.Same("still here"u8.ToArray(), await pair.Far.ReadToEndAsync());
        var turns = pair.Client.Engine.Steps - before;
        Check.That(turns < (3 * Count) + 100, $"{Count} datagrams and their errors took {turns} turns");
        Check.Equal(0L, pair.Client.GetStatistics().DatagramsDropped);
    }

    [Fact("arrival times are those of the kernel, however late a datagram is received", Over = Only)]
    public static void ArrivalTimes()
    {
        const long Late = 20_000;
        using var transport = Bind();
        using var raw = Receiver();
        var kept = 0;
        for (var round = 0; round < 20; round++)
        {
            var before = Clock.Now;
            raw.SendTo(new byte[10], transport.LocalEndPoint);
            var after = Clock.Now;
            SpinWait.SpinUntil(() => Clock.Now - after >= Late);
            var received = Collect(transport, 1);
            var arrivedAt = received[0].datagrams.ArrivedAt;
            Check.That(arrivedAt <= Clock.Now);
            Check.That(arrivedAt >= before - 100, $"{before - arrivedAt} µs before it was sent");

            // A thread that is preempted while it reads both clocks takes an arrival for later.
            kept += arrivedAt <= after + (Late / 2) ? 1 : 0;
        }

        Check.That(kept >= 10, $"{kept} of 20 arrived when they were sent, not when they were received");
    }

    [Fact("a wall clock that is wrong, or is set, makes an arrival at most late, never early", Over = Only)]
    public static void WallClock()
    {
        var clocks = new Clocks(Monotonic: 5_000_000, Wall: 1_700_000_000_000_000);
        Check.Equal(5_000_000, clocks.ToMonotonic(1_700_000_000_000_000));
        Check.Equal(4_999_000, clocks.ToMonotonic(1_699_999_999_999_000));
        Check.Equal(4_000_001, clocks.ToMonotonic(1_699_999_999_000_001));
        Check.Equal(5_000_000, clocks.ToMonotonic(1_699_999_999_000_000), "a second ago: it was set forwards");
        Check.Equal(5_000_000, clocks.ToMonotonic(1_700_000_000_000_001), "in the future: it was set back");
        Check.Equal(5_000_000, clocks.ToMonotonic(0));
        Check.Equal(5_000_000, clocks.ToMonotonic(long.MaxValue));
        var (first, second) = (Clocks.Read(), Clocks.Read());
        Check.That(second.Monotonic >= first.Monotonic && Clock.Now >= second.Monotonic);
    }

    [Fact("datagrams of several senders in different sizes arrive unchanged, each sender's in order", Over = Only)]
    public static void ManySenders()
    {
        using var receiver = Bind();
        var senders = Enumerable.Range(0, 4).Select(_ => Bind()).ToArray();
        var target = Addresses.ToEndpoint(receiver.LocalEndPoint);
        var random = new System.Random(3);
        var sent = senders.ToDictionary(sender => Addresses.ToEndpoint(sender.LocalEndPoint), _ => new List<byte[]>());
        for (var round = 0; round < 30; round++)
        {
            var expected = 0;
            for (var index = random.Next(1, 8); index > 0; index--)
            {
                var sender = senders[random.Next(senders.Length)];
                var train = Train(random.Next(1, 20), random.Next(5) switch { 0 => 1, 1 => 80, 2 => 3000, _ => 1380 });
                Check.That(sender.Send(target, train));
                expected += train.Count;
                sent[Addresses.ToEndpoint(sender.LocalEndPoint)].AddRange(Packets(train));
            }

            foreach (var one in Collect(receiver, expected))
            {
                for (var index = 0; index < one.datagrams.Count; index++)
                {
                    var packet = sent[one.from][0];
                    Check.Equal(packet, one.datagrams[index].Span);
                    sent[one.from].RemoveAt(0);
                }
            }
        }

        Check.That(sent.Values.All(packets => packets.Count == 0));
        foreach (var sender in senders)
        {
            sender.Dispose();
        }
    }

    [Fact("an empty datagram, and the longest one, arrive as they are", Over = Only)]
    public static void EmptyAndLongest()
    {
        using var sender = Bind();
        using var receiver = Bind();
        var target = Addresses.ToEndpoint(receiver.LocalEndPoint);
        foreach (var length in new[] { 0, 65_507, 0, 1, 0, 65_507, 18_433, 18_432 })
        {
            var bytes = Waiting.Bytes(length, length);
            Check.That(sender.Send(target, bytes) is null);
            var received = Collect(receiver, 1)[0].datagrams;
            Check.Equal(1, received.Count);
            Check.Equal(bytes, received[0].Span);
        }
    }

    [Fact("no datagram may be fragmented on the way, of either family", Over = Only)]
    public static void DontFragment()
    {
        Skip.Unless(LinuxTransport.IsSupported, "needs Linux in 64 bits");
        using var four = Bind();
        // ip(7): IP_MTU_DISCOVER is 10, IPV6_MTU_DISCOVER 23, and IP_PMTUDISC_PROBE 3.
        Check.Equal(3, Option(four.Socket, Libc.SOL_IP, 10));
        Skip.Unless(Socket.OSSupportsIPv6, "There is no IPv6 here.");
        using var both = new LinuxTransport([SocketFactory.Bind(new IPEndPoint(IPAddress.IPv6Any, 0), 1 << 20, 1 << 20)]);
        Check.Equal(3, Option(both.Socket, Libc.SOL_IP, 10));
        Check.Equal(3, Option(both.Socket, Libc.SOL_IPV6, 23));
    }
}
