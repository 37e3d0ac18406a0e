using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Tests;

/// <summary>Mapping the port of a node, at routers that answer in every way. Real ones are tested in UtpPunch.Interop.Tests.</summary>
public static class MappingPorts
{
    private const int Pcp = 60;

    [Fact("by PCP a port is mapped in a round trip, and deleted when the mapping is disposed")]
    public static async Task ByPcp()
    {
        await using var router = new FakeRouter { OnAsked = Grant };
        await using var node = await Pair.BindAsync();
        var lifetimes = new List<uint>();
        router.OnAsked = request =>
        {
            lifetimes.Add(BinaryPrimitives.ReadUInt32BigEndian(request.AsSpan(4)));
            return Grant(request);
        };
        var mapping = await router.MapAsync(node);
        Check.Equal($"{FakeRouter.External}:{node.LocalEndPoint.Port}", $"{mapping.ExternalEndPoint}");
        Check.Equal(node.LocalEndPoint, mapping.InternalEndPoint);
        Check.Equal(UtpPortMappingProtocol.Pcp, mapping.Protocol);
        Check.Equal(TimeSpan.FromHours(1), mapping.Lifetime);
        Check.That(!mapping.IsLost && !mapping.IsBehindFurtherNat);
        await mapping.DisposeAsync().AsTask().Within();
        Check.Equal("3600, 0", string.Join(", ", lifetimes));
    }

    [Fact("a node that is closed deletes its mappings, however it is closed")]
    public static async Task Closed()
    {
        await using var router = new FakeRouter();
        foreach (var close in new Func<UtpNode, Task>[]
        {
            node => node.DisposeAsync().AsTask(),
            node => node.CloseAsync(TimeSpan.Zero).AsTask(),
            node => Task.Run(node.Dispose),
        })
        {
            var deleted = new TaskCompletionSource();
            router.OnAsked = request =>
            {
                if (BinaryPrimitives.ReadUInt32BigEndian(request.AsSpan(4)) == 0)
                {
                    deleted.TrySetResult();
                }

                return Grant(request);
            };
            var node = await Pair.BindAsync();
            await router.MapAsync(node);
            await close(node).Within();
            await deleted.Task.Within();
        }
    }

    [Fact("answers of the router do not reach the handler of other datagrams, and those of others do")]
    public static async Task Routed()
    {
        await using var router = new FakeRouter { OnAsked = Grant };
        await using var node = await Pair.BindAsync();
        var seen = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        node.DatagramHandler = (datagram, _, _) => seen.TrySetResult(datagram.Length);
        await using var mapping = await router.MapAsync(node);
        using var stranger = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        var forged = Grant(new byte[Pcp])!;
        await stranger.SendToAsync(forged[..59], node.LocalEndPoint);
        Check.Equal(59, await seen.Task.Within());
    }

    [Fact("by UPnP a port is mapped: description, external address, mapping; and deleted at the end")]
    public static async Task ByUpnp()
    {
        await using var router = Upnp(FakeRouter.Ok);
        await using var node = await Pair.BindAsync();
        var mapping = await router.MapAsync(node);
        Check.Equal($"{FakeRouter.External}:{node.LocalEndPoint.Port}", $"{mapping.ExternalEndPoint}");
        Check.Equal(UtpPortMappingProtocol.Upnp, mapping.Protocol);
        await mapping.DisposeAsync().AsTask().Within();
        Check.Equal("GET, GetExternalIPAddress, AddPortMapping, DeletePortMapping", string.Join(", ", router.Actions));
    }

    [Fact("UPnP answers in chunks are read")]
    public static async Task InChunks()
    {
        await using var router = Upnp(action => FakeRouter.Chunked(FakeRouter.Ok(action)));
        await using var node = await Pair.BindAsync();
        await using var mapping = await router.MapAsync(node);
        Check.Equal(FakeRouter.External, $"{mapping.ExternalEndPoint.Address}");
    }

    [Fact("UPnP's 725 and 402 lead to a mapping without limit")]
    public static async Task Permanent()
    {
        foreach (var code in new[] { 725, 402 })
        {
            await using var router = Upnp(FakeRouter.Ok);
            router.OnAction = (action, request) =>
                action == "AddPortMapping" && !request.Contains("<NewLeaseDuration>0<", StringComparison.Ordinal)
                    ? FakeRouter.Fault(code)
                    : FakeRouter.Ok(action);
            await using var node = await Pair.BindAsync();
            await using var mapping = await router.MapAsync(node);
            Check.Equal(Timeout.InfiniteTimeSpan, mapping.Lifetime, $"{code}");
        }
    }

    [Fact("UPnP's 718 and 501 lead to another port")]
    public static async Task OtherPort()
    {
        foreach (var code in new[] { 718, 501 })
        {
            await using var router = Upnp(FakeRouter.Ok);
            await using var node = await Pair.BindAsync();
            var port = $"<NewExternalPort>{node.LocalEndPoint.Port}<";
            router.OnAction = (action, request) => action == "AddPortMapping" && request.Contains(port, StringComparison.Ordinal)
                ? FakeRouter.Fault(code)
                : FakeRouter.Ok(action);
            await using var mapping = await router.MapAsync(node);
            Check.That(mapping.ExternalEndPoint.Port != node.LocalEndPoint.Port, $"{code}");
        }
    }

    [Fact("a refusal is an error with the protocol and its code: 2 of PCP, 606 of UPnP")]
    public static async Task Refused()
    {
        await using var node = await Pair.BindAsync();
        await using (var router = new FakeRouter { OnAsked = request => Grant(request, result: 2) })
        {
            await FailsAsync(router, node, UtpError.PortMappingRefused, "PCP with 2 (NOT_AUTHORIZED)");
        }

        await using (var router = Upnp(action => action == "AddPortMapping" ? FakeRouter.Fault(606) : FakeRouter.Ok(action)))
        {
            await FailsAsync(router, node, UtpError.PortMappingRefused, "UPnP with 606 (Action not authorized)");
        }

        await using (var router = new FakeRouter { OnAsked = request => Grant(request, result: 12) })
        {
            await FailsAsync(router, node, UtpError.DoubleNat, "ADDRESS_MISMATCH");
        }
    }

    public static IEnumerable<object> Bodies => ["DTD", "entity", "too long", "too deep", "too many elements", "a redirection", "no XML", "404", "endless"];

    [Fact("a description that is not acceptable is not used: {0}", Timeout = 30)]
    [ForEach(typeof(MappingPorts), nameof(Bodies))]
    public static async Task HostileDescription(string what)
    {
        await using var router = Upnp(action => action == "GET" ? Hostile(what) : FakeRouter.Ok(action));
        await using var node = await Pair.BindAsync();
        await FailsAsync(router, node, UtpError.GatewaySilent, "UPnP device");
        Check.That(router.Actions.All(action => action == "GET"), string.Join(", ", router.Actions));
    }

    [Fact("a LOCATION that names another host, a name, or another scheme is not fetched")]
    public static async Task ForeignLocation()
    {
        await using var elsewhere = new FakeRouter();
        await using var node = await Pair.BindAsync();
        foreach (var (from, to) in new[] { ("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "localhost"), ("http:", "https:"), ("127.0.0.1", "[::1]") })
        {
            await using var router = new FakeRouter { Limit = TimeSpan.FromMilliseconds(300) };
            router.Location = () => router.Url.Replace(from, to, StringComparison.Ordinal);
            await FailsAsync(router, node, UtpError.GatewaySilent, "did not answer");
            Check.Equal(0, router.Actions.Count, to);
        }
    }

    [Fact("answers from another address or port, and with another nonce, are ignored")]
    public static async Task WrongSource()
    {
        await using var node = await Pair.BindAsync();
        using var stranger = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        stranger.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var router = new FakeRouter { Limit = TimeSpan.FromMilliseconds(300) };
        router.OnAsked = request =>
        {
            if (request.Length == Pcp)
            {
                stranger.SendTo(Grant(request)!, node.LocalEndPoint);
            }

            var other = Grant(request)!;
            other[24] ^= 1;
            return other;
        };
        await FailsAsync(router, node, UtpError.GatewaySilent, "did not answer");
    }

    [Fact("a wait that is cancelled ends at once, and what the router may have mapped is deleted")]
    public static async Task CancelledLater()
    {
        await using var node = await Pair.BindAsync();
        using var cancellation = new CancellationTokenSource();
        await using var router = new FakeRouter();
        var deleted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        router.OnAsked = request =>
        {
            if (BinaryPrimitives.ReadUInt32BigEndian(request.AsSpan(4)) == 0)
            {
                deleted.TrySetResult();
            }

            cancellation.Cancel();
            return null;
        };
        await Check.ThrowsAsync<OperationCanceledException>(() => router.MapAsync(node, cancellation.Token));
        await deleted.Task.Within();
    }

    [Fact("a wait that is cancelled before it begins asks for nothing")]
    public static async Task Cancelled()
    {
        await using var node = await Pair.BindAsync();
        using var cancellation = new CancellationTokenSource();
        await cancellation.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => node.MapPortAsync(cancellationToken: cancellation.Token).AsTask().Within());
    }

    [Fact("options that are not valid are refused by name, and so is a family that the node does not use")]
    public static async Task Options()
    {
        await using var node = await Pair.BindAsync();
        foreach (var (options, name) in new (UtpPortMappingOptions, string)[]
        {
            (new() { Lifetime = TimeSpan.FromMilliseconds(999) }, "Lifetime"),
            (new() { Lifetime = TimeSpan.FromHours(25) }, "Lifetime"),
            (new() { ExternalPort = -1 }, "ExternalPort"),
            (new() { ExternalPort = 65536 }, "ExternalPort"),
            (new() { Protocol = (UtpPortMappingProtocol)9 }, "Protocol"),
            (new() { AddressFamily = AddressFamily.Unix }, "AddressFamily"),
            (new() { AddressFamily = AddressFamily.InterNetworkV6 }, "AddressFamily"),
        })
        {
            var error = await Check.ThrowsAsync<ArgumentException>(() => node.MapPortAsync(options).AsTask().Within());
            Check.Equal(name, error.ParamName);
        }

        // No router leads to the loopback.
        var missing = await Check.ThrowsAsync<UtpException>(() => node.MapPortAsync().AsTask().Within());
        Check.Equal(UtpError.GatewayNotFound, missing.Error);
        node.Dispose();
        await Check.ThrowsAsync<ObjectDisposedException>(() => node.MapPortAsync().AsTask().Within());
    }

    private static FakeRouter Upnp(Func<string, string> answer)
    {
        // With PCP, UPnP would begin a second later.
        var router = new FakeRouter { Only = UtpPortMappingProtocol.Upnp, OnAction = (action, _) => answer(action) };
        router.Location = () => router.Url;
        return router;
    }

    private static async Task FailsAsync(FakeRouter router, UtpNode node, UtpError expected, string reason)
    {
        var error = await Check.ThrowsAsync<UtpException>(() => router.MapAsync(node));
        Check.That(error.Message.Contains(reason, StringComparison.Ordinal), error.Message);
        Check.Equal(expected, error.Error, error.Message);
    }

    /// <summary>PCP's answer to a request: the internal port becomes the external one.</summary>
    private static byte[]? Grant(byte[] request) => Grant(request, result: 0);

    private static byte[]? Grant(byte[] request, byte result)
    {
        if (request.Length != Pcp)
        {
            return null;
        }

        var answer = request.ToArray();
        answer[1] |= 0x80;
        answer[3] = result;
        Array.Clear(answer, 8, 16);
        answer.AsSpan(40, 2).CopyTo(answer.AsSpan(42));
        IPAddress.Parse(FakeRouter.External).MapToIPv6().GetAddressBytes().CopyTo(answer, 44);
        return answer;
    }

    private static string Hostile(string what)
    {
        const string Dtd = "<!DOCTYPE root [<!ENTITY a \"aaaaaaaaaa\">]>";
        var description = FakeRouter.Description;
        return what switch
        {
            "DTD" => FakeRouter.Response("200 OK", description.Replace("<!-- a comment -->", Dtd, StringComparison.Ordinal)),
            "entity" => FakeRouter.Response("200 OK", description.Replace("/ctl", "&a;", StringComparison.Ordinal)),
            "too long" => FakeRouter.Response("200 OK", description + new string(' ', 65 * 1024)),
            "too deep" => FakeRouter.Response("200 OK", string.Concat(Enumerable.Repeat("<a>", 40)) + string.Concat(Enumerable.Repeat("</a>", 40))),
            "too many elements" => FakeRouter.Response("200 OK", $"<a>{string.Concat(Enumerable.Repeat("<b/>", 3000))}</a>"),
            "a redirection" => FakeRouter.Response("302 Found", description, "Location: http://127.0.0.1:1/\r\n"),
            "no XML" => FakeRouter.Response("200 OK", "{ \"controlURL\": \"/ctl\" }"),
            "404" => FakeRouter.Response("404 Not Found", description),
            _ => $"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n{description}",
        };
    }
}
