using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;
using static UtpPunch.Tests.LinuxParts;

namespace UtpPunch.Tests;

/// <summary>Sockets that are bound to all addresses: from which of them they answer.</summary>
public static class SourceAddresses
{
    private const int EINVAL = 22;
    private const string Only = TransportUnderTest.Linux;

    [Fact("what answers a datagram leaves from the address at which that has arrived, trains and datagrams alike", Over = Only)]
    public static void AsAsked()
    {
        foreach (var bound in new[] { IPAddress.Any, IPAddress.IPv6Any })
        {
            using var kernel = new Kernel(bound);
            var transport = kernel.Transport;
            foreach (var asked in new[] { "127.0.0.2", "127.8.0.3", "127.0.0.1", "127.0.0.2" }.Select(IPAddress.Parse))
            {
                using var raw = Receiver();
                var from = Ask(raw, transport, asked);
                var own = new IPEndPoint(asked, transport.LocalEndPoint.Port);
                Check.Equal(own, transport.LocalEndPointOf(from));
                Check.That(transport.Send(from, Train(41, 1380)));
                Check.Equal(1, kernel.Calls.Count, "calls: the source costs no call");
                Check.Equal(1400, kernel.Calls[0].Segment);
                Check.That(transport.Send(from, new byte[] { 1 }) is null);
                Check.That(transport.Send(from, Train(1, 100)));
                for (var index = 0; index < 43; index++)
                {
                    Check.Equal(own, SourceOf(raw));
                }

                kernel.Calls.Clear();
            }
        }
    }

    [Fact("an address that is lost is no source any more, until a datagram arrives at it; segmentation goes on", Over = Only)]
    public static void Lost()
    {
        using var kernel = new Kernel(IPAddress.Any);
        using var raw = Receiver();
        var from = Ask(raw, kernel.Transport, IPAddress.Parse("127.0.0.2"));
        kernel.Verdict = _ => kernel.Sources[^1] ? EINVAL : 0;
        foreach (var (calls, send) in new[] { (2, 0), (1, 1), (1, 2) })
        {
            kernel.Calls.Clear();
            Check.That(kernel.Transport.Send(from, Train(41, 1380)));
            Check.Equal(calls, kernel.Calls.Count, $"calls for train {send}");
            Check.That(kernel.Calls.All(call => call.Segment == 1400));
        }

        Check.Equal(kernel.Transport.LocalEndPoint, kernel.Transport.LocalEndPointOf(from));
        Check.Equal(0L, kernel.Transport.Dropped);
        kernel.Verdict = _ => 0;
        var again = Ask(raw, kernel.Transport, IPAddress.Parse("127.0.0.2"));
        Check.Equal(from.Local, again.Local);
        kernel.Sources.Clear();
        Check.That(kernel.Transport.Send(again, Train(2, 1380)));
        Check.That(kernel.Sources.SequenceEqual([true]));
    }

    [Fact("a system that does not segment keeps its sources", Over = Only)]
    public static void NotTheSource()
    {
        using var kernel = new Kernel(IPAddress.IPv6Any);
        using var raw = Receiver();
        var from = Ask(raw, kernel.Transport, IPAddress.Parse("127.0.0.2"));
        kernel.Verdict = call => call.Segment != 0 ? EINVAL : 0;
        for (var train = 0; train < 2; train++)
        {
            kernel.Sources.Clear();
            Check.That(kernel.Transport.Send(from, Train(3, 1380)));
            Check.That(kernel.Sources.TakeLast(3).All(source => source), "the packets have their source");
        }

        Check.Equal(3, kernel.Sources.Count, "calls: no more trains");
        Check.Equal(0L, kernel.Transport.Dropped);
    }

    [Fact("datagrams of one sender to several addresses are never taken together", Over = Only)]
    public static void Apart()
    {
        using var transport = new Kernel(IPAddress.Any);
        using var raw = Receiver();
        var asked = new[] { "127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.2" }.Select(IPAddress.Parse).ToArray();
        foreach (var address in asked)
        {
            raw.SendTo(new byte[] { 7 }, new IPEndPoint(address, transport.Transport.LocalEndPoint.Port));
        }

        var at = new List<IPAddress>();
        foreach (var received in Collect(transport.Transport, asked.Length))
        {
            at.AddRange(Enumerable.Repeat(transport.Transport.LocalEndPointOf(received.from).Address, received.datagrams.Count));
        }

        Check.That(asked.SequenceEqual(at), string.Join(" ", at));
    }

    [Fact("multicast, broadcast and unspecified addresses are no sources, and a full table leaves the choice to the system")]
    public static void Numbers()
    {
        var numbers = new LocalAddresses();
        foreach (var address in new[] { "224.0.0.1", "255.255.255.255", "0.0.0.0", "::", "ff02::1" })
        {
            Check.Equal((ushort)0, numbers.NumberOf(LocalAddress.Of(IPAddress.Parse(address))), address);
        }

        for (var host = 1; host <= LocalAddresses.Limit + 1; host++)
        {
            var address = LocalAddress.Of(new IPAddress(new byte[] { 10, 0, (byte)(host >> 8), (byte)host }));
            Check.Equal((ushort)(host <= LocalAddresses.Limit ? host : 0), numbers.NumberOf(address));
            Check.Equal(host <= LocalAddresses.Limit, numbers.TryFind((ushort)host, out var found) && found == address);
        }
    }

    [Fact("a stream's own address is the one that the peer has dialled, on both sides", Over = Only)]
    [CarriesStreams]
    public static async Task OfAStream()
    {
        await using var server = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Any, 0) });
        await using var client = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Any, 0) });
        await using var listener = server.Listen();
        var target = new IPEndPoint(IPAddress.Parse("127.0.0.7"), server.LocalEndPoint.Port);
        var accepting = listener.AcceptAsync();
        await using var dialled = await client.ConnectAsync(target);
        await using var accepted = await accepting;
        Check.Equal(target, accepted.LocalEndPoint);
        Check.Equal(target, dialled.RemoteEndPoint);
        Check.Equal(accepted.RemoteEndPoint, dialled.LocalEndPoint);
    }

    private static Endpoint Ask(Socket raw, LinuxTransport transport, IPAddress address)
    {
        raw.SendTo(new byte[] { 1 }, new IPEndPoint(address, transport.LocalEndPoint.Port));
        return Collect(transport, 1)[0].from;
    }

    private static IPEndPoint SourceOf(Socket raw)
    {
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        raw.ReceiveFrom(new byte[65_536], ref from);
        return (IPEndPoint)from;
    }
}
