using System.Net;
using System.Net.ServerSentEvents;
using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace UtpPunch.Tests;

/// <summary>WebSockets and server-sent events over uTP.</summary>
public static class Messages
{
    private const int Events = 100;

    [Fact("WebSockets over HTTP/1.1 carry messages and close, {0}", Parallel = true)]
    [ForEach(typeof(WebPath), nameof(WebPath.All))]
    public static Task WebSocket1(WebPath path) => WebSocketAsync(path, HttpVersion.Version11, HttpProtocols.Http1);

    [Fact("WebSockets over HTTP/2 (RFC 8441) carry messages and close, {0}", Parallel = true)]
    [ForEach(typeof(WebPath), nameof(WebPath.All))]
    public static Task WebSocket2(WebPath path) => WebSocketAsync(path, HttpVersion.Version20, HttpProtocols.Http2);

    [Fact("server-sent events arrive one by one, while the response goes on, {0}", Parallel = true)]
    [ForEach(typeof(WebPath), nameof(WebPath.All))]
    public static async Task ServerSentEvents(WebPath path)
    {
        using var seen = new SemaphoreSlim(0);
        await using var pair = await WebPair.StartAsync(
            path,
            HttpProtocols.Http1,
            app => app.MapGet("/events", (CancellationToken token) => TypedResults.ServerSentEvents(CountAsync(seen, token))));
        using var client = pair.NewClient(HttpVersion.Version11);
        await using var body = await client.GetStreamAsync("/events");
        var received = 0;
        await foreach (var item in SseParser.Create(body).EnumerateAsync())
        {
            Check.Equal($"{received++}", item.Data);
            // The server sends the next event only now: this one has not waited for it.
            seen.Release();
        }

        Check.Equal(Events, received);
    }

    private static async IAsyncEnumerable<int> CountAsync(SemaphoreSlim seen, [EnumeratorCancellation] CancellationToken token)
    {
        for (var number = 0; number < Events; number++)
        {
            yield return number;
            await seen.WaitAsync(token);
        }
    }

    private static async Task WebSocketAsync(WebPath path, Version version, HttpProtocols protocols)
    {
        await using var pair = await WebPair.StartAsync(path, protocols, app =>
        {
            app.UseWebSockets();
            app.Map("/socket", EchoAsync);
        });
        using var invoker = new HttpMessageInvoker(pair.NewHandler());
        using var socket = new ClientWebSocket();
        socket.Options.HttpVersion = version;
        socket.Options.HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact;
        using var limit = new CancellationTokenSource(WebPair.Limit);
        var address = new UriBuilder(pair.Address) { Scheme = path.IsEncrypted ? "wss" : "ws", Path = "/socket" }.Uri;
        await socket.ConnectAsync(address, invoker, limit.Token);
        var buffer = new byte[70_000];
        foreach (var size in Enumerable.Repeat(20, 100).Append(0).Append(70_000))
        {
            var sent = Waiting.Bytes(size, size);
            await socket.SendAsync(sent, WebSocketMessageType.Binary, endOfMessage: true, limit.Token);
            var count = await ReceiveAsync(socket, buffer, limit.Token);
            Check.Equal(sent.AsSpan(), buffer.AsSpan(0, count), "the message");
        }

        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "done", limit.Token);
        Check.Equal(WebSocketState.Closed, socket.State);
    }

    private static async Task EchoAsync(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var buffer = new byte[70_000];
        while (true)
        {
            var count = await ReceiveAsync(socket, buffer, context.RequestAborted);
            if (socket.State == WebSocketState.CloseReceived)
            {
                await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "done", context.RequestAborted);
                return;
            }

            await socket.SendAsync(buffer.AsMemory(0, count), WebSocketMessageType.Binary, endOfMessage: true, context.RequestAborted);
        }
    }

    private static async Task<int> ReceiveAsync(WebSocket socket, byte[] buffer, CancellationToken token)
    {
        var count = 0;
        while (true)
        {
            var part = await socket.ReceiveAsync(buffer.AsMemory(count), token);
            count += part.Count;
            if (part.EndOfMessage)
            {
                return count;
            }
        }
    }
}
