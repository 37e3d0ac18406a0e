using System.Net;
using System.Net.Sockets;
using Expecto;
using Microsoft.FSharp.Core;
using UtpPunch.Protocol;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>STUN with coturn: our client with its server, its clients with our server.</summary>
public static class StunExchanges
{
    private static readonly string[] Loopback = ["-L", "127.0.0.1", "127.0.0.1"];

    [Fact("our client learns its address from coturn, and that there is no NAT and no filter")]
    public static async Task AskCoturn()
    {
        using var coturn = await Coturn.StartAsync();
        using var socket = new UdpClient(new IPEndPoint(StunSockets.First, 0));
        var local = StunSockets.EndpointOf(socket);
        var report = await FindAsync(socket, FSharpValueOption<Endpoint>.NewValueSome(local), coturn.Primary);
        Check.Equal(local, report.Mapped);
        Check.That(report.IsDirect);
        Check.Equal(Protocol.NatBehavior.EndpointIndependent, report.Filtering.Value);
        Check.That(report.RoundTrip.IsValueNone || report.RoundTrip.Value > 0);
    }

    [Fact("a client that does not know its own address learns from coturn that its mapping is endpoint-independent")]
    public static async Task AskCoturnBlindly()
    {
        using var coturn = await Coturn.StartAsync();
        using var socket = new UdpClient(new IPEndPoint(IPAddress.Any, 0));
        var report = await FindAsync(socket, FSharpValueOption<Endpoint>.ValueNone, coturn.Primary);
        Check.Equal(StunSockets.EndpointOf(socket).Port, report.Mapped.Port);
        Check.Equal(Protocol.NatBehavior.EndpointIndependent, report.Filtering.Value);
        Check.That(!report.IsDirect);
    }

    [Fact("with coturn, address- and port-dependent filtering is distinguished from address-dependent filtering")]
    public static async Task AskCoturnThroughFirewalls()
    {
        using var coturn = await Coturn.StartAsync();
        var strict = FilterAsync(coturn, (from, contacted) => contacted.Contains(from));
        var loose = FilterAsync(coturn, (from, contacted) => contacted.Any(it => it.Address.Equals(from.Address)));
        Check.Equal(Protocol.NatBehavior.AddressAndPortDependent, await strict);
        Check.Equal(Protocol.NatBehavior.AddressDependent, await loose);
    }

    [Fact("coturn's refusal of an unknown attribute is decoded as a 420 that names it")]
    public static async Task CoturnRefuses()
    {
        using var coturn = await Coturn.StartAsync();
        using var socket = new UdpClient(new IPEndPoint(StunSockets.First, 0));
        var request = new StunMessage(
            StunClass.Request, Stun.Binding, new StunId(1, 2, 3), [StunAttribute.NewOther(0x7777, new Borrowed(new byte[5]))]);
        await socket.SendAsync(Stun.withFingerprint(Stun.encode(request)).Span.ToArray(), coturn.Primary);
        using var soon = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var answer = await socket.ReceiveAsync(soon.Token);
        StunMessage? message = null;
        Check.Equal(StunMalformed.None, Stun.decode(new Borrowed(answer.Buffer), out message));
        Check.Equal(StunClass.Error, message.Class);
        Check.Equal(420, message.Attributes.OfType<StunAttribute.ErrorCode>().First().code);
        Check.That(message.Attributes.OfType<StunAttribute.UnknownAttributes>().First().kinds.Contains((ushort)0x7777));
    }

    [Fact("coturn's stunclient understands our server, and is answered from its other address and port")]
    public static async Task ServeStunClient()
    {
        var (output, primary, other) = await ServedAsync("turnutils_stunclient", "-f");
        Check.That(output.Contains($"Response origin: : {primary}", StringComparison.Ordinal), output);
        Check.That(output.Contains($"Other addr: : {other}", StringComparison.Ordinal), output);
        Check.That(output.Contains("UDP reflexive addr: 127.0.0.1:", StringComparison.Ordinal), output);
        Check.That(output.Contains("RFC 5780 response 3", StringComparison.Ordinal), output);
    }

    [Fact("coturn's natdiscovery finds, with our server, endpoint-independent mapping and filtering")]
    public static async Task ServeNatDiscovery()
    {
        var (output, _, _) = await ServedAsync("turnutils_natdiscovery", "-m", "-f");
        Check.That(output.Contains("NAT with Endpoint Independent Mapping!", StringComparison.Ordinal), output);
        Check.That(output.Contains("NAT with Endpoint Independent Filtering!", StringComparison.Ordinal), output);
    }

    /// <summary>The output of a coturn client about our server on two addresses and two ports.</summary>
    private static async Task<(string Output, IPEndPoint Primary, IPEndPoint Other)> ServedAsync(string client, params string[] words)
    {
        Skip.Unless(Coturn.IsAvailable, Coturn.Missing);
        var sockets = StunSockets.BindFour();
        var serving = StunSockets.ServeAsync(sockets, "UtpPunch");
        try
        {
            var primary = (IPEndPoint)sockets[0].Client.LocalEndPoint!;
            var (output, errors) = await OtherTool.RunAsync(OtherTool.Find(client)!, [.. words, "-p", $"{primary.Port}", .. Loopback]);
            return (output + errors, primary, (IPEndPoint)sockets[3].Client.LocalEndPoint!);
        }
        finally
        {
            Array.ForEach(sockets, socket => socket.Dispose());
            await serving;
        }
    }

    private static async Task<StunReport> FindAsync(
        UdpClient socket, FSharpValueOption<Endpoint> local, IPEndPoint server, Func<IPEndPoint, IEnumerable<IPEndPoint>, bool>? admits = null)
    {
        var outcome = await StunSockets.AskAsync(socket, Options(local, server), admits);
        return outcome is StunOutcome.Found found ? found.report : throw new AssertException($"Nothing found: {outcome}");
    }

    private static async Task<Protocol.NatBehavior> FilterAsync(Coturn coturn, Func<IPEndPoint, IEnumerable<IPEndPoint>, bool> admits)
    {
        using var socket = new UdpClient(new IPEndPoint(StunSockets.First, 0));
        return (await FindAsync(socket, FSharpValueOption<Endpoint>.ValueNone, coturn.Primary, admits)).Filtering.Value;
    }

    private static StunOptions Options(FSharpValueOption<Endpoint> local, IPEndPoint server)
    {
        var standard = StunClientModule.Standard([Addresses.ToEndpoint(server)]);
        return new StunOptions(standard.Servers, local, standard.Timeout, standard.TestTimeout, standard.Behaviour);
    }
}
