using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace UtpPunch.Tests;

/// <summary>The differentiated services code point of datagrams, as a receiver sees it.</summary>
public static class TrafficClasses
{
    private const int LowerEffort = 1;
    private const int Expedited = 46;

    [Fact("all datagrams of a node have its code point, over IPv4, IPv6 and to an IPv4 address from a socket of both", Parallel = true)]
    public static async Task OnTheWire()
    {
        Skip.Unless(OperatingSystem.IsLinux() && Socket.OSSupportsIPv6, "reads control messages of Linux, and needs IPv6");
        foreach (var (local, target) in new[]
        {
            (IPAddress.Loopback, IPAddress.Loopback), (IPAddress.IPv6Loopback, IPAddress.IPv6Loopback), (IPAddress.IPv6Any, IPAddress.Loopback),
        })
        {
            foreach (var codePoint in new[] { 0, LowerEffort, Expedited })
            {
                await using var node = await Pair.BindAsync(options => (options.LocalEndPoint, options.Dscp) = (new IPEndPoint(local, 0), codePoint));
                using var receiver = Receiver(target);
                using var cancel = new CancellationTokenSource();
                var connecting = node.ConnectAsync(receiver.LocalEndPoint!, cancel.Token).AsTask();   // a SYN
                Check.Equal(codePoint, CodePointOf(receiver), $"from {local} to {target}");
                await cancel.CancelAsync();
                await Check.ThrowsAsync<OperationCanceledException>(() => connecting);
            }
        }
    }

    [Fact("sockets that are opened beside the first one have its code point")]
    public static void Copied()
    {
        using var first = SocketFactory.Bind(new IPEndPoint(IPAddress.Any, 0), 1 << 16, 1 << 16, LowerEffort);
        using var beside = SocketFactory.BindBeside(first, new IPEndPoint(IPAddress.Loopback, ((IPEndPoint)first.LocalEndPoint!).Port));
        Check.Equal((LowerEffort, LowerEffort), (TrafficClass.Of(first), TrafficClass.Of(beside)));
        var birthday = new BirthdaySockets(first);
        birthday.Open(1, 2);
        Check.Equal(LowerEffort, TrafficClass.Of(birthday.Find(2)!.Socket));
        birthday.DisposeAll();
    }

    private static Socket Receiver(IPAddress address)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 10_000 };
        var (level, option) = address.AddressFamily == AddressFamily.InterNetwork ? (0, 13) : (41, 66); // IP_RECVTOS, IPV6_RECVTCLASS
        socket.SetRawSocketOption(level, option, MemoryMarshal.AsBytes(new ReadOnlySpan<int>([1])));
        socket.Bind(new IPEndPoint(address, 0));
        return socket;
    }

    private static unsafe int CodePointOf(Socket socket)
    {
        Check.That(socket.Poll(TimeSpan.FromSeconds(10), SelectMode.SelectRead));
        var payload = stackalloc byte[2048];
        var control = stackalloc byte[256];
        var vector = new Libc.Part { Start = payload, Length = 2048 };
        var message = new Libc.Message { Parts = &vector, PartCount = 1, Control = control, ControlLength = 256 };
        Check.That(Libc.Receive(socket.SafeHandle, &message, 0) >= 20);
        var messages = new ControlMessages(&message);
        while (messages.Next())
        {
            if (messages is { Level: 0, Type: 1 } or { Level: 41, Type: 67 })
            {
                return *messages.Data >> 2;
            }
        }

        throw new InvalidOperationException("The kernel has not told the octet.");
    }
}
