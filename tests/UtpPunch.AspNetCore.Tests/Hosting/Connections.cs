using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using UtpPunch.AspNetCore;

namespace UtpPunch.Tests;

/// <summary>The ends of connections: peers that reset, servers that stop.</summary>
public static class Connections
{
    private static readonly WebPath Clean = new(false, 0);

    [Fact("a peer that resets its stream aborts its request, and no other", Parallel = true)]
    public static async Task PeerResets()
    {
        var aborted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var pair = await WebPair.StartAsync(Clean, HttpProtocols.Http1, app =>
        {
            app.MapGet("/", () => "alive");
            app.MapPost("/", async (HttpContext context) =>
            {
                try
                {
                    await context.Request.Body.CopyToAsync(Stream.Null);
                }
                catch (IOException)
                {
                    aborted.TrySetResult();
                    throw;
                }
            });
        });
        using var client = pair.NewClient(HttpVersion.Version11);
        Check.Equal("alive", await client.GetStringAsync("/"));
        await using var stream = await pair.Node.ConnectAsync(pair.Remote);
        await stream.WriteAsync(Encoding.ASCII.GetBytes("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf of it"));
        await stream.DrainAsync();
        stream.Abort();
        await aborted.Task.WaitAsync(WebPair.Limit);
        Check.Equal("alive", await client.GetStringAsync("/"));
    }

    [Fact("a peer that resets an HTTP/2 connection aborts its request, and the server forgets the stream", Parallel = true)]
    public static async Task PeerResetsHttp2()
    {
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var aborted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var path = new WebPath(true, 0);
        await using var pair = await WebPair.StartAsync(path, HttpProtocols.Http2, app => app.MapGet("/", async (HttpContext context) =>
        {
            started.TrySetResult();
            using var registration = context.RequestAborted.Register(() => aborted.TrySetResult());
            await Task.Delay(WebPair.Limit, context.RequestAborted);
        }));
        using var client = pair.NewClient(HttpVersion.Version20);
        var request = client.GetAsync("/");
        await started.Task.WaitAsync(WebPair.Limit);
        await pair.Node.CloseAsync(TimeSpan.Zero);
        await aborted.Task.WaitAsync(WebPair.Limit);
        await Check.ThrowsAsync<HttpRequestException>(() => request);
        await Waiting.UntilAsync(() => pair.IsServerIdle, "the server's node has no streams");
    }

    [Fact("bytes that are no HTTP get an error, and their connection ends", Parallel = true)]
    public static async Task Garbage()
    {
        await using var pair = await WebPair.StartAsync(Clean, HttpProtocols.Http1, app => app.MapGet("/", () => "alive"));
        await using var stream = await pair.Node.ConnectAsync(pair.Remote);
        await stream.WriteAsync(Encoding.ASCII.GetBytes("no HTTP\r\n\r\n"));
        using var limit = new CancellationTokenSource(WebPair.Limit);
        var answer = await new StreamReader(stream).ReadToEndAsync(limit.Token);
        Check.That(answer.StartsWith("HTTP/1.1 400", StringComparison.Ordinal), answer);
        stream.CompleteWrites();
        await Waiting.UntilAsync(() => pair.IsServerIdle, "the server's node has no streams");
    }

    [Fact("a server that stops closes idle connections, and waits for a request that is under way", Parallel = true)]
    public static async Task Stops()
    {
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var mayEnd = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var pair = await WebPair.StartAsync(Clean, HttpProtocols.Http1, app =>
        {
            app.MapGet("/", () => "idle");
            app.MapGet("/slow", async () =>
            {
                started.TrySetResult();
                await mayEnd.Task;
                return "slow";
            });
        });
        using var client = pair.NewClient(HttpVersion.Version11);
        using var other = pair.NewClient(HttpVersion.Version11);
        Check.Equal("idle", await other.GetStringAsync("/"));
        var slow = client.GetStringAsync("/slow");
        await started.Task.WaitAsync(WebPair.Limit);
        var stopping = pair.App.StopAsync();
        await RefusedAsync(other);
        Check.That(!stopping.IsCompleted, "the server waits");
        mayEnd.SetResult();
        Check.Equal("slow", await slow);
        await stopping.WaitAsync(WebPair.Limit);
        await Waiting.UntilAsync(() => pair.IsServerIdle, "the server's node has no streams");
    }

    [Fact("a server that stops aborts what is not over in time", Parallel = true)]
    public static async Task StopsInTime()
    {
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var pair = await WebPair.StartAsync(Clean, HttpProtocols.Http1AndHttp2, app => app.MapGet("/", async (HttpContext context) =>
        {
            started.TrySetResult();
            await Task.Delay(WebPair.Limit, context.RequestAborted);
        }));
        using var client = pair.NewClient(HttpVersion.Version11);
        var request = client.GetAsync("/");
        await started.Task.WaitAsync(WebPair.Limit);
        using var now = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await pair.App.StopAsync(now.Token).WaitAsync(WebPair.Limit);
        await Check.ThrowsAsync<HttpRequestException>(() => request);
        await Waiting.UntilAsync(() => pair.IsServerIdle, "the server's node has no streams");
    }

    [Fact("a connection that a middleware of Kestrel aborts is reset at the peer", Parallel = true)]
    public static async Task Aborted()
    {
        await using var pair = await StartRawAsync(connection =>
        {
            connection.Abort(new ConnectionAbortedException("no"));
            return Task.CompletedTask;
        });
        await using var stream = await pair.Node.ConnectAsync(pair.Remote);
        using var limit = new CancellationTokenSource(WebPair.Limit);
        var error = await Check.ThrowsAsync<UtpException>(async () => await stream.ReadExactlyAsync(new byte[1], limit.Token));
        Check.Equal(UtpError.ConnectionReset, error.Error);
    }

    [Fact("the error code of a connection that a middleware aborts reaches the peer, and the peer's reaches the middleware", Parallel = true)]
    public static async Task ErrorCodes()
    {
        var read = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        var isFirst = true;
        await using var pair = await StartRawAsync(async connection =>
        {
            var feature = connection.Features.Get<IProtocolErrorCodeFeature>()!;
            Check.Equal(-1L, feature.Error);
            if (isFirst)
            {
                isFirst = false;
                feature.Error = 0x101;
                connection.Abort(new ConnectionAbortedException("no"));
                return;
            }

            await connection.Transport.Output.WriteAsync("x"u8.ToArray());
            await Check.ThrowsAsync<ConnectionResetException>(async () => await connection.Transport.Input.ReadAsync());
            read.SetResult(feature.Error);
        });
        using var limit = new CancellationTokenSource(WebPair.Limit);
        await using var refused = await pair.Node.ConnectAsync(pair.Remote);
        var error = await Check.ThrowsAsync<UtpException>(async () => await refused.ReadExactlyAsync(new byte[1], limit.Token));
        Check.Equal(0x101L, error.ApplicationErrorCode);

        await using var stream = await pair.Node.ConnectAsync(pair.Remote);
        await stream.ReadExactlyAsync(new byte[1], limit.Token);
        stream.Abort(0x10c);
        Check.Equal(0x10cL, await read.Task.WaitAsync(WebPair.Limit));
    }

    [Fact("output after the peer has gone does not throw: it is completed", Parallel = true)]
    public static async Task OutputAfterReset()
    {
        var ended = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var pair = await StartRawAsync(async connection =>
        {
            var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            using var registration = connection.ConnectionClosed.Register(() => closed.SetResult());
            await closed.Task.WaitAsync(WebPair.Limit);
            try
            {
                while (!(await connection.Transport.Output.WriteAsync(new byte[1000])).IsCompleted)
                {
                }

                // What has arrived before can be read.
                var result = await connection.Transport.Input.ReadAsync();
                Check.Equal(1L, result.Buffer.Length);
                connection.Transport.Input.AdvanceTo(result.Buffer.End);
                await Check.ThrowsAsync<ConnectionResetException>(async () => await connection.Transport.Input.ReadAsync());
                ended.SetResult(true);
            }
            catch (Exception error)
            {
                ended.SetException(error);
            }
        });
        var stream = await pair.Node.ConnectAsync(pair.Remote);
        await stream.WriteAsync("x"u8.ToArray());
        await stream.DrainAsync();
        stream.Abort();
        Check.That(await ended.Task.WaitAsync(WebPair.Limit));
    }

    [Fact("a callback of ConnectionClosed that throws harms nothing", Parallel = true)]
    public static async Task FaultyCallback()
    {
        await using var pair = await StartRawAsync(async connection =>
        {
            await connection.Transport.Output.WriteAsync("hello"u8.ToArray());
            connection.ConnectionClosed.Register(() => throw new InvalidOperationException("a fault of the application"));
        });
        for (var time = 0; time < 2; time++)
        {
            await using var stream = await pair.Node.ConnectAsync(pair.Remote);
            stream.CompleteWrites();
            using var limit = new CancellationTokenSource(WebPair.Limit);
            Check.Equal("hello", await new StreamReader(stream).ReadToEndAsync(limit.Token));
        }
    }

    // A request that comes before the server has closed its endpoint is answered.
    private static async Task RefusedAsync(HttpClient client)
    {
        while (true)
        {
            try
            {
                Check.Equal("idle", await client.GetStringAsync("/").WaitAsync(WebPair.Limit));
            }
            catch (HttpRequestException)
            {
                return;
            }
        }
    }

    private static Task<WebPair> StartRawAsync(Func<ConnectionContext, Task> serve) => WebPair.StartAsync(
        Clean,
        HttpProtocols.Http1,
        _ => { },
        builder => builder.WebHost.ConfigureKestrel(options =>
            options.ConfigureEndpointDefaults(listen => listen.Run(connection => serve(connection)))));
}
