using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace UtpPunch.Tests;

/// <summary>HTTP requests over uTP.</summary>
public static class Requests
{
    [Fact("HTTP/1.1 carries requests side by side and one after the other, {0}", Parallel = true)]
    [ForEach(typeof(WebPath), nameof(WebPath.All))]
    public static Task Http1(WebPath path) => EchoAsync(path, HttpVersion.Version11, HttpProtocols.Http1);

    [Fact("HTTP/2 carries requests over one stream, {0}", Parallel = true)]
    [ForEach(typeof(WebPath), nameof(WebPath.All))]
    public static Task Http2(WebPath path) => EchoAsync(path, HttpVersion.Version20, HttpProtocols.Http2);

    [Fact("the server knows the addresses of both sides", Parallel = true)]
    public static async Task Addresses()
    {
        await using var pair = await WebPair.StartAsync(new WebPath(false, 0), HttpProtocols.Http1, app => app.MapGet("/", (HttpContext context) =>
            $"{context.Connection.RemoteIpAddress} {context.Connection.LocalIpAddress}:{context.Connection.LocalPort}"));
        using var client = pair.NewClient(HttpVersion.Version11);
        Check.Equal($"127.0.0.1 {WebPair.EndPointOf(pair.App)}", await client.GetStringAsync("/"));
    }

    [Fact("a request's features have the stream, with its statistics", Parallel = true)]
    public static async Task Feature()
    {
        var path = new WebPath(true, 0);
        await using var pair = await WebPair.StartAsync(path, HttpProtocols.Http1AndHttp2, app => app.MapGet("/", (HttpContext context) =>
            context.Features.GetRequiredFeature<AspNetCore.IUtpConnectionFeature>().Stream.GetStatistics().BytesReceived));
        using var client = pair.NewClient(HttpVersion.Version20);
        Check.That(long.Parse(await client.GetStringAsync("/")) > 0);
    }

    [Fact("a response that comes before the request was read arrives, though the server closes the connection", Parallel = true)]
    public static async Task Early()
    {
        await using var pair = await WebPair.StartAsync(
            new WebPath(false, 0),
            HttpProtocols.Http1,
            app => app.MapPost("/", async (HttpContext context) =>
            {
                context.Response.StatusCode = StatusCodes.Status413PayloadTooLarge;
                context.Response.Headers.Connection = "close";
                await context.Response.WriteAsync(new string('x', 200_000));
            }),
            builder => builder.Services.Configure<KestrelServerOptions>(options => options.Limits.MaxRequestBodySize = null));
        using var client = pair.NewClient(HttpVersion.Version11);
        using var response = await client.PostAsync("/", new ByteArrayContent(Waiting.Bytes(3_000_000)));
        Check.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Check.Equal(200_000, (await response.Content.ReadAsStringAsync()).Length);
    }

    private static async Task EchoAsync(WebPath path, Version version, HttpProtocols protocols)
    {
        await using var pair = await WebPair.StartAsync(path, protocols, app =>
        {
            app.MapGet("/protocol", (HttpContext context) => $"{context.Request.Protocol} {context.Request.IsHttps}");
            app.MapPost("/echo", async (HttpContext context) =>
            {
                using var body = new MemoryStream();
                await context.Request.Body.CopyToAsync(body);
                await context.Response.Body.WriteAsync(body.ToArray());
            });
        });
        using var client = pair.NewClient(version);
        Check.Equal($"HTTP/{(version.Major == 2 ? "2" : "1.1")} {path.IsEncrypted}", await client.GetStringAsync("/protocol"));
        await Task.WhenAll(Enumerable.Range(1, 6).Select(async seed =>
        {
            foreach (var size in new[] { 0, 1, 300_000 })
            {
                var sent = Waiting.Bytes(size, seed);
                using var response = await client.PostAsync("/echo", new ByteArrayContent(sent));
                var received = await response.EnsureSuccessStatusCode().Content.ReadAsByteArrayAsync();
                Check.Equal(sent.AsSpan(), received, "the echo");
            }
        }));
    }
}
