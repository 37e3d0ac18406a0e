using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using UtpPunch.AspNetCore;
using UtpPunch.Cli.Bench;

namespace UtpPunch.Bench;

/// <summary>Kestrel and HttpClient, over uTP or over the system's TCP.</summary>
internal static class WebRoles
{
    private const string Node = "web";
    private const int Size = 64 * 1024;

    /// <summary>`protocol=`: serves until `stop`.</summary>
    public static async Task ServeAsync(PeerLink link, RoleArguments words)
    {
        var isUtp = words["protocol"] == "utp";
        var loopback = new IPEndPoint(IPAddress.Loopback, 0);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddUtpNode(Node, options => options.LocalEndPoint = loopback);
        builder.WebHost.ConfigureKestrel(options =>
        {
            if (isUtp)
            {
                options.ListenUtp(Node, Http1);
            }
            else
            {
                options.Listen(loopback, Http1);
            }
        });
        await using var app = builder.Build();
        var sent = 0L;
        link.Count(() => [Volatile.Read(ref sent)]);
        app.MapGet("/hello", () => "hello");
        app.MapGet("/bytes", async context =>
        {
            var output = context.Response.BodyWriter;
            while (!context.RequestAborted.IsCancellationRequested)
            {
                var memory = output.GetMemory(Size);
                Pattern.Block[..Size].CopyTo(memory);
                output.Advance(Size);
                if ((await output.FlushAsync()).IsCompleted)
                {
                    break;
                }

                Volatile.Write(ref sent, sent + Size);
            }
        });
        await app.StartAsync();
        link.Start();
        link.TellPort(isUtp
            ? app.Services.GetRequiredKeyedService<UtpNode>(Node).LocalEndPoint.Port
            : new Uri(app.Urls.First()).Port);
        await Task.Delay(Timeout.Infinite, link.Stopped).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await app.StopAsync();
        BulkRoles.TellDone(link, [Volatile.Read(ref sent)]);
    }

    /// <summary>`protocol= port=`: reads one response until `stop`.</summary>
    public static async Task DownloadAsync(PeerLink link, RoleArguments words)
    {
        await using var node = await UtpNode.BindAsync();
        using var client = ClientOf(words, node);
        var counts = new long[1];
        link.Count(() => [Volatile.Read(ref counts[0])]);
        link.Start();
        await using var body = await client.GetStreamAsync("/bytes");
        link.Tell("started");
        var buffer = new byte[Size];
        for (int count; !link.Stopped.IsCancellationRequested && (count = await body.ReadAsync(buffer)) > 0;)
        {
            Pattern.Check(counts[0] % Size, buffer.AsSpan(0, (int)Math.Min(count, Size - (counts[0] % Size))));
            Volatile.Write(ref counts[0], counts[0] + count);
        }

        BulkRoles.TellDone(link, counts);
    }

    /// <summary>`protocol= port= atOnce= milliseconds=`: asks and asks again.</summary>
    public static async Task AskAsync(PeerLink link, RoleArguments words)
    {
        await using var node = await UtpNode.BindAsync();
        using var client = ClientOf(words, node);
        var time = TimeSpan.FromMilliseconds(words.Number("milliseconds"));
        link.Start();
        await AskAllAsync(client, words.Number("atOnce", 1), time / 2);
        var asked = await AskAllAsync(client, words.Number("atOnce", 1), time);
        link.Tell("asked", json => json.WriteNumber("perSecond", asked / time.TotalSeconds));
    }

    private static async Task<int> AskAllAsync(HttpClient client, int atOnce, TimeSpan time)
    {
        using var end = new CancellationTokenSource(time);
        var asked = 0;
        await Task.WhenAll(Enumerable.Range(0, atOnce).Select(_ => Task.Run(async () =>
        {
            while (!end.IsCancellationRequested)
            {
                if (await client.GetStringAsync("/hello", CancellationToken.None) != "hello")
                {
                    throw new InvalidDataException("another answer");
                }

                Interlocked.Increment(ref asked);
            }
        })));
        return asked;
    }

    private static void Http1(ListenOptions options) => options.Protocols = HttpProtocols.Http1;

    private static HttpClient ClientOf(RoleArguments words, UtpNode node)
    {
        var handler = new SocketsHttpHandler();
        return new HttpClient(words["protocol"] == "utp" ? handler.UseUtp(node) : handler)
        {
            BaseAddress = new Uri($"http://127.0.0.1:{words.Number("port")}"),
        };
    }
}
