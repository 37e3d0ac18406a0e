using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.FSharp.Core;
using UtpPunch.Protocol;

namespace UtpPunch.Interop;

/// <summary>The core's STUN over plain sockets: a client, and a server with two addresses and two ports.</summary>
internal static class StunSockets
{
    // On Linux this machine has both without any set-up.
    public static readonly IPAddress First = IPAddress.Loopback;
    public static readonly IPAddress Second = IPAddress.Parse("127.0.0.2");

    /// <summary>Four sockets, in the order of <see cref="StunServerModule.OtherPort"/> and <see cref="StunServerModule.OtherAddress"/>.</summary>
    public static UdpClient[] BindFour()
    {
        var (first, second) = (BindPair(), BindPair());
        return [first[0], second[0], first[1], second[1]];
    }

    /// <summary>
    /// Runs a client of the core until it has ended, behind a firewall that is given the source of each datagram and the endpoints
    /// that were contacted so far.
    /// </summary>
    public static async Task<StunOutcome> AskAsync(
        UdpClient socket, StunOptions options, Func<IPEndPoint, IEnumerable<IPEndPoint>, bool>? admits = null)
    {
        var contacted = new HashSet<IPEndPoint>();
        var clock = Stopwatch.StartNew();
        var client = StunClientModule.Start(options, RandomModule.create(new Owned(RandomNumberGenerator.GetBytes(32))), Now(clock));
        StunEvent[] events = [];
        while (true)
        {
            (client, var effects) = StunClientModule.Step(Now(clock), events, client);
            foreach (var effect in effects)
            {
                switch (effect)
                {
                    case StunEffect.Send send:
                        var remote = Addresses.ToIPEndPoint(send.remote);
                        contacted.Add(remote);
                        await socket.SendAsync(send.datagram.Span.ToArray(), remote);
                        break;
                    case StunEffect.Done done:
                        return done.outcome;
                }
            }

            var received = await ReceiveAsync(socket, StunClientModule.Deadline(client) - Now(clock));
            events = received is { } it && (admits is null || admits(it.RemoteEndPoint, contacted))
                ? [StunEvent.NewReceived(Addresses.ToEndpoint(it.RemoteEndPoint), new Borrowed(it.Buffer))]
                : [];
        }
    }

    /// <summary>Answers on the sockets until they are closed.</summary>
    public static Task ServeAsync(UdpClient[] sockets, string software)
    {
        var endpoints = sockets.Select(socket => FSharpValueOption<Endpoint>.NewValueSome(EndpointOf(socket))).ToArray();
        var server = StunServerModule.Create(FSharpValueOption<string>.NewValueSome(software), endpoints);
        return Task.WhenAll(sockets.Select((_, number) => ServeAsync(sockets, number, server)));
    }

    public static Endpoint EndpointOf(UdpClient socket) => Addresses.ToEndpoint((IPEndPoint)socket.Client.LocalEndPoint!);

    private static async Task ServeAsync(UdpClient[] sockets, int number, StunServer server)
    {
        while (true)
        {
            UdpReceiveResult request;
            try
            {
                request = await sockets[number].ReceiveAsync();
            }
            catch (Exception e) when (e is ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
            {
                return;
            }

            var answer = StunServerModule.Answer(number, Addresses.ToEndpoint(request.RemoteEndPoint), new Borrowed(request.Buffer), server);
            if (answer.IsValueSome)
            {
                var (socket, remote, datagram) = (answer.Value.Socket, answer.Value.Remote, answer.Value.Datagram);
                await sockets[socket].SendAsync(datagram.Span.ToArray(), Addresses.ToIPEndPoint(remote));
            }
        }
    }

    private static async Task<UdpReceiveResult?> ReceiveAsync(UdpClient socket, long microseconds)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromMicroseconds(Math.Max(0, microseconds)));
        try
        {
            return await socket.ReceiveAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>The same port on both addresses: the system picks one, and another if that is taken on the second.</summary>
    private static UdpClient[] BindPair()
    {
        for (var attempt = 1; ; attempt++)
        {
            var first = new UdpClient(new IPEndPoint(First, 0));
            try
            {
                return [first, new UdpClient(new IPEndPoint(Second, ((IPEndPoint)first.Client.LocalEndPoint!).Port))];
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse && attempt < 10)
            {
                first.Dispose();
            }
        }
    }

    private static long Now(Stopwatch clock) => clock.ElapsedTicks * 1_000_000 / Stopwatch.Frequency;
}
