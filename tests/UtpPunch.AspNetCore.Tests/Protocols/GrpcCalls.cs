using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using UtpPunch.Tests.Grpc;

namespace UtpPunch.Tests;

/// <summary>gRPC over uTP: the four kinds of calls.</summary>
public static class GrpcCalls
{
    private const int Count = 100;

    [Fact("gRPC carries calls of all four kinds, side by side, {0}", Parallel = true)]
    [ForEach(typeof(WebPath), nameof(WebPath.All))]
    public static async Task AllKinds(WebPath path)
    {
        await using var pair = await StartAsync(path);
        using var channel = Open(pair);
        var client = new Echo.EchoClient(channel);
        await Task.WhenAll(UnaryAsync(client), ClientStreamingAsync(client), ServerStreamingAsync(client), BothStreamingAsync(client));
    }

    [Fact("a gRPC call that the client cancels is cancelled at the server, and its connection goes on", Parallel = true)]
    public static async Task Cancelled()
    {
        await using var pair = await StartAsync(new WebPath(false, 0));
        using var channel = Open(pair);
        var client = new Echo.EchoClient(channel);
        using var cancellation = new CancellationTokenSource();
        var call = client.Each(Options(cancellation.Token));
        await call.RequestStream.WriteAsync(new Message { Number = 1 });
        Check.That(await call.ResponseStream.MoveNext(CancellationToken.None));
        await cancellation.CancelAsync();
        var error = await Check.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(CancellationToken.None));
        Check.Equal(StatusCode.Cancelled, error.StatusCode);
        await EchoService.Cancelled.Task.WaitAsync(WebPair.Limit);
        await UnaryAsync(client);
    }

    [Fact("a gRPC call whose server stops ends with a status, not with a time-out", Parallel = true)]
    public static async Task ServerGone()
    {
        await using var pair = await StartAsync(new WebPath(false, 0));
        using var channel = Open(pair);
        var call = new Echo.EchoClient(channel).Each(Options());
        await call.RequestStream.WriteAsync(new Message { Number = 1 });
        Check.That(await call.ResponseStream.MoveNext(CancellationToken.None));
        using var now = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await pair.App.StopAsync(now.Token).WaitAsync(WebPair.Limit);
        var error = await Check.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(CancellationToken.None));
        Check.That(error.StatusCode is StatusCode.Unavailable or StatusCode.Internal or StatusCode.Cancelled, $"{error.Status}");
    }

    private static Task<WebPair> StartAsync(WebPath path) => WebPair.StartAsync(
        path, HttpProtocols.Http2, app => app.MapGrpcService<EchoService>(), builder => builder.Services.AddGrpc());

    private static GrpcChannel Open(WebPair pair) => GrpcChannel.ForAddress(
        pair.Address, new GrpcChannelOptions { HttpHandler = pair.NewHandler(), DisposeHttpClient = true });

    private static CallOptions Options(CancellationToken token = default) => new(deadline: DateTime.UtcNow + WebPair.Limit, cancellationToken: token);

    private static Message Numbered(int number) => new() { Number = number, Content = ByteString.CopyFrom(Waiting.Bytes(1000, number)) };

    private static async Task UnaryAsync(Echo.EchoClient client)
    {
        for (var number = 0; number < Count; number++)
        {
            Check.Equal(Numbered(number), await client.OnceAsync(Numbered(number), Options()));
        }
    }

    private static async Task ClientStreamingAsync(Echo.EchoClient client)
    {
        using var call = client.Sum(Options());
        for (var number = 1; number <= Count; number++)
        {
            await call.RequestStream.WriteAsync(Numbered(number));
        }

        await call.RequestStream.CompleteAsync();
        Check.Equal(Count * (Count + 1) / 2, (await call).Number);
    }

    private static async Task ServerStreamingAsync(Echo.EchoClient client)
    {
        using var call = client.Repeat(new Message { Number = Count }, Options());
        var received = 0;
        await foreach (var message in call.ResponseStream.ReadAllAsync())
        {
            Check.Equal(Numbered(received++), message);
        }

        Check.Equal(Count, received);
    }

    private static async Task BothStreamingAsync(Echo.EchoClient client)
    {
        using var call = client.Each(Options());
        for (var number = 0; number < Count; number++)
        {
            await call.RequestStream.WriteAsync(Numbered(number));
            Check.That(await call.ResponseStream.MoveNext(CancellationToken.None));
            Check.Equal(Numbered(number), call.ResponseStream.Current);
        }

        await call.RequestStream.CompleteAsync();
        Check.That(!await call.ResponseStream.MoveNext(CancellationToken.None));
    }

    private sealed class EchoService : Echo.EchoBase
    {
        public static TaskCompletionSource Cancelled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override Task<Message> Once(Message request, ServerCallContext context) => Task.FromResult(request);

        public override async Task<Message> Sum(IAsyncStreamReader<Message> requestStream, ServerCallContext context)
        {
            var sum = 0;
            await foreach (var message in requestStream.ReadAllAsync())
            {
                sum += message.Number;
            }

            return new Message { Number = sum };
        }

        public override async Task Repeat(Message request, IServerStreamWriter<Message> responseStream, ServerCallContext context)
        {
            for (var number = 0; number < request.Number; number++)
            {
                await responseStream.WriteAsync(Numbered(number));
            }
        }

        public override async Task Each(
            IAsyncStreamReader<Message> requestStream, IServerStreamWriter<Message> responseStream, ServerCallContext context)
        {
            using var registration = context.CancellationToken.Register(() => Cancelled.TrySetResult());
            await foreach (var message in requestStream.ReadAllAsync(context.CancellationToken))
            {
                await responseStream.WriteAsync(message);
            }
        }
    }
}
