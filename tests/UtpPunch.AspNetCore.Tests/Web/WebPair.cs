using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using UtpPunch.AspNetCore;

namespace UtpPunch.Tests;

/// <summary>A Kestrel server over uTP, a path to it, and a node that dials it.</summary>
internal sealed class WebPair : IAsyncDisposable
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);
    public static readonly IPEndPoint Loopback = new(IPAddress.Loopback, 0);

    private static readonly X509Certificate2 Certificate = SelfSigned();
    private readonly UdpRelay _relay;
    private readonly WebPath _path;

    private WebPair(WebApplication app, UdpRelay relay, UtpNode node, WebPath path)
    {
        App = app;
        Node = node;
        _relay = relay;
        _path = path;
    }

    public WebApplication App { get; }

    /// <summary>The client's node.</summary>
    public UtpNode Node { get; }

    /// <summary>Where the client's datagrams go.</summary>
    public IPEndPoint Remote => _relay.EndPoint;

    public Uri Address => new($"{(_path.IsEncrypted ? "https" : "http")}://127.0.0.1:{Remote.Port}/");

    /// <summary>The server's node has no streams.</summary>
    public bool IsServerIdle => App.Services.GetRequiredKeyedService<UtpNode>("server").GetStatistics().IncomingConnections == 0;

    public static async Task<WebPair> StartAsync(
        WebPath path, HttpProtocols protocols, Action<WebApplication> map, Action<WebApplicationBuilder>? configure = null)
    {
        var builder = NewBuilder();
        configure?.Invoke(builder);
        builder.Services.AddUtpNode("server", options => options.LocalEndPoint = Loopback);
        builder.WebHost.ConfigureKestrel(options => options.ListenUtp("server", listen =>
        {
            listen.Protocols = protocols;
            if (path.IsEncrypted)
            {
                listen.UseHttps(Certificate);
            }
        }));
        var app = builder.Build();
        map(app);
        await app.StartAsync();
        var node = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = Loopback });
        var faults = new RelayPath { Loss = path.Loss };
        return new WebPair(app, UdpRelay.Symmetric(EndPointOf(app), faults), node, path);
    }

    /// <summary>A builder that reads no settings of the machine, and writes no log.</summary>
    public static WebApplicationBuilder NewBuilder()
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Production" });
        builder.Configuration.Sources.Clear();
        builder.Logging.ClearProviders();
        return builder;
    }

    /// <summary>The address of a server's first endpoint, which is one of uTP.</summary>
    public static IPEndPoint EndPointOf(WebApplication app)
    {
        var shown = app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses
            .First(address => address.Contains("://utp:", StringComparison.Ordinal));
        return IPEndPoint.Parse(shown[(shown.IndexOf("utp:", StringComparison.Ordinal) + 4)..]);
    }

    public SocketsHttpHandler NewHandler()
    {
        var handler = new SocketsHttpHandler().UseUtp(Node);
        handler.SslOptions.RemoteCertificateValidationCallback = IsOurs;
        return handler;
    }

    /// <summary>A client that speaks this version of HTTP and no other.</summary>
    public HttpClient NewClient(Version version) => new(NewHandler())
    {
        BaseAddress = Address,
        DefaultRequestVersion = version,
        DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        Timeout = Limit,
    };

    public async ValueTask DisposeAsync()
    {
        Node.Dispose();
        await App.DisposeAsync();
        _relay.Dispose();
    }

    private static bool IsOurs(object sender, X509Certificate? other, X509Chain? chain, SslPolicyErrors errors) =>
        other?.GetCertHashString(HashAlgorithmName.SHA256) == Certificate.GetCertHashString(HashAlgorithmName.SHA256);

    private static X509Certificate2 SelfSigned()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null);
    }
}
