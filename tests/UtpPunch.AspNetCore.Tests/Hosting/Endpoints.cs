using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using UtpPunch.AspNetCore;

namespace UtpPunch.Tests;

/// <summary>Endpoints of Kestrel: ports, named nodes, rooms.</summary>
public static class Endpoints
{
    [Fact("one server answers over TCP and over uTP", Parallel = true)]
    public static async Task BesideTcp()
    {
        var builder = WebPair.NewBuilder();
        builder.WebHost.UseUtp();
        builder.WebHost.ConfigureKestrel(options =>
        {
            options.Listen(WebPair.Loopback);
            options.ListenUtp(WebPair.Loopback);
        });
        await using var app = builder.Build();
        app.MapGet("/", (HttpContext context) => context.Features.Get<IUtpConnectionFeature>() is null ? "TCP" : "uTP");
        await app.StartAsync();
        using var overTcp = new HttpClient();
        Check.Equal("TCP", await overTcp.GetStringAsync(app.Urls.Single(url => !url.Contains("utp", StringComparison.Ordinal))));
        await using var node = UtpNode.Bind(WebPair.Loopback);
        using var overUtp = new HttpClient(new SocketsHttpHandler().UseUtp(node));
        Check.Equal("uTP", await overUtp.GetStringAsync($"http://{WebPair.EndPointOf(app)}/"));
    }

    [Fact("a host whose services have the transport before the server's own still answers over TCP", Parallel = true)]
    public static async Task TransportFirst()
    {
        using var host = new HostBuilder()
            .ConfigureServices(services => services.AddUtpPunch())
            .ConfigureWebHost(web => web
                .UseKestrel(options => options.Listen(WebPair.Loopback))
                .Configure(app => app.Run(context => context.Response.WriteAsync("TCP"))))
            .Build();
        await host.StartAsync();
        var server = host.Services.GetRequiredService<Microsoft.AspNetCore.Hosting.Server.IServer>();
        var address = server.Features.Get<Microsoft.AspNetCore.Hosting.Server.Features.IServerAddressesFeature>()!.Addresses.Single();
        using var client = new HttpClient();
        Check.Equal("TCP", await client.GetStringAsync(address));
    }

    [Fact("a named node listens for Kestrel and opens streams over the same port", Parallel = true)]
    public static async Task SharedNode()
    {
        await using var pair = await WebPair.StartAsync(new WebPath(false, 0), HttpProtocols.Http1, app => app.MapGet("/", () => "served"));
        var node = pair.App.Services.GetRequiredKeyedService<UtpNode>("server");
        await using var listener = pair.Node.Listen();
        await using var dialled = await node.ConnectAsync(pair.Node.LocalEndPoint);
        await using var accepted = await listener.AcceptAsync();
        Check.Equal(WebPair.EndPointOf(pair.App), accepted.RemoteEndPoint);
        using var client = pair.NewClient(HttpVersion.Version11);
        Check.Equal("served", await client.GetStringAsync("/"));
        await pair.App.StopAsync();
        Check.That(!node.Completion.IsCompleted, "the server does not close a node that it does not own");
    }

    [Fact("clients of the factory open their connections over a named node, and over the default one", Parallel = true)]
    public static async Task ClientFactory()
    {
        var builder = WebPair.NewBuilder();
        builder.WebHost.UseUtp();
        builder.WebHost.ConfigureKestrel(options => options.ListenUtp(WebPair.Loopback));
        builder.Services.AddUtpPunch(options => options.LocalEndPoint = WebPair.Loopback);
        builder.Services.AddUtpNode("peers", options => options.LocalEndPoint = WebPair.Loopback);
        builder.Services.AddHttpClient("named").UseUtp("peers");
        builder.Services.AddHttpClient("default").UseUtp(options: new UtpConnectOptions { Timeout = WebPair.Limit });
        await using var app = builder.Build();
        app.MapGet("/", (HttpContext context) => $"{context.Connection.RemotePort}");
        await app.StartAsync();
        var clients = app.Services.GetRequiredService<IHttpClientFactory>();
        foreach (var (name, node) in new[]
        {
            ("named", app.Services.GetRequiredKeyedService<UtpNode>("peers")), ("default", app.Services.GetRequiredService<UtpNode>()),
        })
        {
            using var client = clients.CreateClient(name);
            Check.Equal($"{node.LocalEndPoint.Port}", await client.GetStringAsync($"http://{WebPair.EndPointOf(app)}/"));
        }
    }

    [Fact("an endpoint's filter refuses peers before Kestrel sees them, and endpoints of one address are equal", Parallel = true)]
    public static async Task FilteredEndpoint()
    {
        var asked = 0;
        var builder = WebPair.NewBuilder();
        builder.WebHost.UseUtp();
        builder.WebHost.ConfigureKestrel(options => options.Listen(new UtpEndPoint(WebPair.Loopback)
        {
            ListenOptions = new UtpListenOptions { Filter = (_, _) => ValueTask.FromResult(Interlocked.Increment(ref asked) > 1) },
        }));
        await using var app = builder.Build();
        app.MapGet("/", () => "served");
        await app.StartAsync();
        await using var node = UtpNode.Bind(WebPair.Loopback);
        var refused = await Check.ThrowsAsync<UtpException>(() => node.ConnectAsync(WebPair.EndPointOf(app)).AsTask());
        Check.Equal(UtpError.ConnectionRefused, refused.Error);
        using var client = new HttpClient(new SocketsHttpHandler().UseUtp(node));
        Check.Equal("served", await client.GetStringAsync($"http://{WebPair.EndPointOf(app)}/"));
        Check.Equal(new UtpEndPoint(WebPair.Loopback), new UtpEndPoint(new IPEndPoint(IPAddress.Loopback, 0)));
        Check.Equal(new UtpEndPoint("a").GetHashCode(), new UtpEndPoint("a").GetHashCode());
        Check.That(!new UtpEndPoint("a").Equals(new UtpEndPoint("b")));
        Check.Equal(new UtpRendezvousEndPoint(WebPair.Loopback, "room"), new UtpRendezvousEndPoint([WebPair.Loopback], "room"));
        Check.Throws<ArgumentException>(() => _ = new UtpEndPoint(""));
        Check.Throws<ArgumentException>(() => _ = new UtpRendezvousEndPoint([], "room"));
    }

    [Fact("a port in use is an error of the start that names the address", Parallel = true)]
    public static async Task PortInUse()
    {
        using var occupant = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        occupant.Bind(WebPair.Loopback);
        var address = (IPEndPoint)occupant.LocalEndPoint!;
        var builder = WebPair.NewBuilder();
        builder.WebHost.UseUtp();
        builder.WebHost.ConfigureKestrel(options => options.ListenUtp(address));
        await using var app = builder.Build();
        var error = await Check.ThrowsAsync<IOException>(() => app.StartAsync());
        Check.That(error.Message.Contains($"{address}", StringComparison.Ordinal), error.Message);
    }

    [Fact("an endpoint of a node that was not added is an error of the start that says how to add it", Parallel = true)]
    public static async Task NoSuchNode()
    {
        var builder = WebPair.NewBuilder();
        builder.WebHost.UseUtp();
        builder.WebHost.ConfigureKestrel(options => options.ListenUtp("absent"));
        await using var app = builder.Build();
        var error = await Check.ThrowsAsync<InvalidOperationException>(() => app.StartAsync());
        Check.That(error.Message.Contains("AddUtpNode(\"absent\")", StringComparison.Ordinal), error.Message);
    }

    [Fact("clients reach a server by a room of a rendezvous, over HTTP/1.1 and HTTP/2, each with the secret")]
    public static async Task Room()
    {
        await using var rendezvous = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [WebPair.Loopback, WebPair.Loopback] });
        var meet = new UtpPunchOptions { Secret = "a secret of the tests" };
        await using var app = ServeRoom(rendezvous.LocalEndPoints[0], meet);
        await app.StartAsync();
        foreach (var (version, room) in new[] { (HttpVersion.Version11, "one"), (HttpVersion.Version20, "two") })
        {
            await using var node = UtpNode.Bind(WebPair.Loopback);
            var client = new UtpRendezvousClient(node, rendezvous.LocalEndPoints[0]);
            using var http = new HttpClient(new SocketsHttpHandler().UseRendezvous(client, punchOptions: meet))
            {
                DefaultRequestVersion = version,
                DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
                Timeout = WebPair.Limit,
            };
            // Two at a time: a client's meetings must not find each other.
            foreach (var protocol in await Task.WhenAll(http.GetStringAsync($"http://{room}/"), http.GetStringAsync($"http://{room}/")))
            {
                Check.Equal($"HTTP/{(version.Major == 2 ? "2" : "1.1")}", protocol);
            }
        }
    }

    [Fact("a server in a room waits for a rendezvous that starts later, and leaves the room when it stops")]
    public static async Task RendezvousLater()
    {
        using var reserved = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        reserved.Bind(WebPair.Loopback);
        var address = (IPEndPoint)reserved.LocalEndPoint!;
        await using var app = ServeRoom(address, null);
        await app.StartAsync();
        reserved.Dispose();
        await using var rendezvous = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [address] });
        await using var node = UtpNode.Bind(WebPair.Loopback);
        using var handler = new SocketsHttpHandler().UseRendezvous(new UtpRendezvousClient(node, address), "one");
        using var http = new HttpClient(handler) { Timeout = WebPair.Limit };
        Check.Equal("HTTP/1.1", await http.GetStringAsync("http://any/"));
        await app.StopAsync().WaitAsync(WebPair.Limit);
        await Waiting.UntilAsync(() => rendezvous.GetStatistics().WaitingPeers == 0, "no peer waits in the room");
    }

    private static WebApplication ServeRoom(EndPoint rendezvous, UtpPunchOptions? meet)
    {
        var builder = WebPair.NewBuilder();
        builder.Services.AddUtpNode("peers", options => options.LocalEndPoint = WebPair.Loopback);
        builder.WebHost.ConfigureKestrel(options =>
        {
            options.ListenRendezvous(rendezvous, "one", meet, "peers");
            options.ListenRendezvous(rendezvous, "two", meet, "peers", listen => listen.Protocols = HttpProtocols.Http2);
        });
        var app = builder.Build();
        app.MapGet("/", (HttpContext context) => context.Request.Protocol);
        return app;
    }
}
