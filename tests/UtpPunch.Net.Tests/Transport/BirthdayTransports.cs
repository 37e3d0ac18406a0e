using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>The sockets that a transport opens beside its own for birthday probing.</summary>
public static class BirthdayTransports
{
    private const int Longest = 65_507;

    [Fact("an empty datagram to a birthday socket is received: the next wait takes its time, and the next datagram arrives")]
    public static void EmptyDatagram()
    {
        using var transport = Bind();
        using var raw = LinuxParts.Receiver();
        transport.OpenSockets(1, 3);
        var target = AddressOf(transport, via: 3, raw);
        raw.SendTo([], target);
        raw.SendTo([7], target);
        var received = Collect(transport, 2);
        Check.Equal("3:0 3:1", string.Join(' ', received.Select(one => $"{one.from.Via}:{one.datagrams.Length}")));
        transport.Prepare();
        var started = Clock.Now;
        transport.Wait(30_000);
        Check.That(Clock.Now - started >= 30_000, "nothing is left that could end a wait");
    }

    [Fact("a birthday socket receives a datagram of any length whole")]
    public static void LongDatagrams()
    {
        using var transport = Bind();
        using var raw = LinuxParts.Receiver();
        transport.OpenSockets(1, 3);
        var target = AddressOf(transport, via: 2, raw);
        foreach (var length in new[] { 2048, 2049, 20_000, Longest, 1 })
        {
            var bytes = Waiting.Bytes(length, length);
            raw.SendTo(bytes, target);
            var received = Collect(transport, 1)[0];
            Check.Equal(2, received.from.Via);
            Check.Equal(bytes, received.datagrams[0].Span);
        }
    }

    [Fact("sockets of two punches at once are independent: each is closed with its own, and one kept of each continues to receive")]
    public static void TwoAtOnce()
    {
        using var transport = Bind();
        using var raw = LinuxParts.Receiver();
        transport.OpenSockets(1, 4);
        transport.OpenSockets(5, 4);
        var targets = Enumerable.Range(1, 8).ToDictionary(via => via, via => AddressOf(transport, (ushort)via, raw));
        Check.Equal(8, targets.Values.Distinct().Count(), "ports");
        transport.CloseSockets(5, 4, keep: 6);
        transport.CloseSockets(1, 4, keep: 3);
        foreach (var (via, target) in targets)
        {
            var isOpen = via is 3 or 6;
            Check.Equal(isOpen, transport.Send(EndpointOf(raw, (ushort)via), [9]) is null, $"socket {via} sends");
            Check.Equal(isOpen, transport.Send(EndpointOf(raw, (ushort)via), LinuxParts.Train(2, 100)), $"socket {via} sends trains");
            if (isOpen)
            {
                raw.SendTo([(byte)via], target);
                Check.Equal(via, Collect(transport, 1)[0].from.Via);
            }
        }

        transport.CloseSockets(3, 1, keep: 0);
        Check.That(transport.Send(EndpointOf(raw, 3), [9]) is not null, "it is closed as well, in the end");
        Check.That(transport.Send(EndpointOf(raw, 6), [9]) is null, "and the other one is not");
    }

    [Fact("a stream over a path that birthday probing has found searches up to what the loopback carries, as fast as over any other one")]
    public static async Task KeptSocket()
    {
        const int Via = 2;
        using var server = await Pair.BindAsync();
        var transport = Bind();
        transport.OpenSockets(1, 3);
        transport.CloseSockets(1, 3, Via);
        using var client = UtpNode.Over(transport, UtpNodeOptionsCheck.Freeze(new UtpNodeOptions()));
        var accepting = server.Listen().AcceptAsync().AsTask();
        var remote = EndpointModule.via(Via, Addresses.ToEndpoint(server.LocalEndPoint));
        var near = (await client.DialAnyAsync([remote], new UtpPunch.Dialling(Dialect.Bep29, TimeSpan.FromSeconds(10), UtpCongestionControl.Bbr), default).AsTask().Within())!;
        var far = await accepting.Within();
        Check.That(!far.RemoteEndPoint.Equals(client.LocalEndPoint), "it comes from another socket than the node's own");
        var sent = Waiting.Bytes(40_000_000);
        var reading = far.ReadToEndAsync();
        await near.WriteAsync(sent, completeWrites: true).Within();
        Waiting.Same(sent, await reading);
        Check.Equal(Longest - UtpNodeOptionsCheck.HeaderLength, near.GetStatistics().MaxPayload);
    }

    private static Endpoint EndpointOf(Socket socket, ushort via) =>
        EndpointModule.via(via, Addresses.ToEndpoint((IPEndPoint)socket.LocalEndPoint!));

    /// <summary>Where a socket of the transport is bound, as a datagram from it tells.</summary>
    private static IPEndPoint AddressOf(IDatagramTransport transport, ushort via, Socket raw)
    {
        Check.That(transport.Send(EndpointOf(raw, via), [9]) is null, $"socket {via} sends");
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        raw.ReceiveFrom(new byte[10], ref from);
        return (IPEndPoint)from;
    }

    private static IDatagramTransport Bind() =>
        TransportChoice.Bind(new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0) });

    private static List<Event.Received> Collect(IDatagramTransport transport, int count)
    {
        var received = new List<Event>();
        var started = Clock.Now;
        while (received.Cast<Event.Received>().Sum(one => one.datagrams.Count) < count)
        {
            Check.That(Clock.Now - started < 5 * Clock.MicrosecondsPerSecond, $"{count} datagrams arrive, but {received.Count} did");
            transport.Prepare();
            transport.Wait(1_000_000);
            transport.Receive(received, []);
        }

        return received.Cast<Event.Received>().ToList();
    }
}
