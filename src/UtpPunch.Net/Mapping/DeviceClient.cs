using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Sends HTTP requests to UPnP devices of the network. It connects to the given endpoint, whatever the URL names, from the address that is to be
/// mapped: routers map the address of the host that asks. It follows no redirections and uses no proxy.
/// </summary>
internal sealed class DeviceClient : IDisposable
{
    /// <summary>Longer answers are not read, in bytes.</summary>
    public const int MaxBody = 64 * 1024;

    private const int MaxHeadersKilobytes = 16;

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(1);
    private static readonly HttpRequestOptionsKey<IPEndPoint> s_remote = new("UtpPunch.Remote");

    private readonly IPAddress _own;
    private readonly HttpClient _client;

    public DeviceClient(IPAddress own)
    {
        _own = own;
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectCallback = ConnectAsync,
            ConnectTimeout = s_timeout,
            MaxResponseHeadersLength = MaxHeadersKilobytes,
            PooledConnectionLifetime = TimeSpan.Zero,
            UseCookies = false,
            UseProxy = false,
        };
        _client = new HttpClient(handler) { MaxResponseContentBufferSize = MaxBody, Timeout = s_timeout };
    }

    /// <summary>Carries out a request of a mapper.</summary>
    /// <returns><see cref="MapperEvent.Answered"/> or <see cref="MapperEvent.Unanswered"/>, within a second.</returns>
    public async Task<MapperEvent> RunAsync(MapperEffect.Request request)
    {
        try
        {
            using var message = MessageOf(request);
            using var response = await _client.SendAsync(message).ConfigureAwait(false);
            var body = await response.Content.ReadAsByteArrayAsync().ConfigureAwait(false);
            return DeviceXml.Read(body) is { } elements
                ? MapperEvent.NewAnswered(request.request, (int)response.StatusCode, elements)
                : MapperEvent.NewUnanswered(request.request);
        }
        catch (Exception error) when (error is HttpRequestException or IOException or OperationCanceledException or ObjectDisposedException
            or InvalidOperationException)
        {
            // The last one: a character set that the system does not know.
            return MapperEvent.NewUnanswered(request.request);
        }
    }

    public void Dispose() => _client.Dispose();

    private static HttpRequestMessage MessageOf(MapperEffect.Request request)
    {
        var message = new HttpRequestMessage(request.soapAction.Length == 0 ? HttpMethod.Get : HttpMethod.Post, request.address.Url);
        message.Options.Set(s_remote, Addresses.ToIPEndPoint(request.address.Remote));
        if (request.soapAction.Length > 0)
        {
            message.Content = new ByteArrayContent(request.body.Span.ToArray());
            message.Content.Headers.TryAddWithoutValidation("Content-Type", "text/xml; charset=\"utf-8\"");
            message.Headers.TryAddWithoutValidation("SOAPAction", request.soapAction);
        }

        return message;
    }

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        if (!context.InitialRequestMessage.Options.TryGetValue(s_remote, out var remote))
        {
            throw new IOException("The request has no endpoint.");
        }

        var socket = new Socket(remote.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.Bind(new IPEndPoint(_own, 0));
            await socket.ConnectAsync(remote, cancellationToken).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
