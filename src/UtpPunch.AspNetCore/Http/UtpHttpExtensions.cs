using UtpPunch;

namespace System.Net.Http;

/// <summary><see cref="HttpClient"/>, and with it gRPC and WebSocket clients, over uTP.</summary>
public static class UtpHttpExtensions
{
    /// <summary>Opens the connections of a handler over a node, to the host and port of the request. HTTP/1.1, HTTP/2 and TLS work as over
    /// TCP. Proxies are not used.</summary>
    /// <param name="handler">The handler, before its first request.</param>
    /// <param name="node">The node, which must stay open as long as the handler is used.</param>
    /// <param name="options">The options of the streams; <see langword="null"/> for those of the node.</param>
    /// <returns>The handler.</returns>
    /// <example><code>
    /// await using var node = await UtpNode.BindAsync();
    /// using var client = new HttpClient(new SocketsHttpHandler().UseUtp(node));
    /// var text = await client.GetStringAsync("http://host.example:9000/");
    /// </code></example>
    public static SocketsHttpHandler UseUtp(this SocketsHttpHandler handler, UtpNode node, UtpConnectOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(handler);
        ArgumentNullException.ThrowIfNull(node);
        return handler.ConnectBy((remote, cancellationToken) => node.ConnectAsync(remote.Host, remote.Port, options, cancellationToken));
    }

    /// <summary>
    /// Opens the connections of a handler by meetings in a room, with a server that uses
    /// <see cref="Microsoft.AspNetCore.Hosting.UtpKestrelExtensions.ListenRendezvous"/>. Each connection is a meeting, and they take place one after the other, so HTTP/2
    /// is better. Proxies are not used.
    /// </summary>
    /// <param name="handler">The handler, before its first request.</param>
    /// <param name="rendezvous">The client of the rendezvous server. Its node must stay open as long as the handler is used.</param>
    /// <param name="room">The name of the room; <see langword="null"/> for the host of the request, in lower case. Its port is not used.</param>
    /// <param name="punchOptions">The options of the punches, such as the secret; <see langword="null"/> for the defaults.</param>
    /// <returns>The handler.</returns>
    /// <example><code>
    /// var rendezvous = new UtpRendezvousClient(node, new DnsEndPoint("host.example", 42000));
    /// using var client = new HttpClient(new SocketsHttpHandler().UseRendezvous(rendezvous, "my service", new UtpPunchOptions { Secret = secret }));
    /// var text = await client.GetStringAsync("http://my-service/");
    /// </code></example>
    public static SocketsHttpHandler UseRendezvous(
        this SocketsHttpHandler handler, UtpRendezvousClient rendezvous, string? room = null, UtpPunchOptions? punchOptions = null)
    {
        ArgumentNullException.ThrowIfNull(handler);
        ArgumentNullException.ThrowIfNull(rendezvous);
        // Two meetings of this client in one room at a time would be introduced to each other.
        var gate = new SemaphoreSlim(1);
        return handler.ConnectBy(async (remote, cancellationToken) =>
        {
            await gate.WaitAsync(cancellationToken).ConfigureAwait(false);
            try
            {
                return await rendezvous.ConnectAsync(room ?? remote.Host, punchOptions, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                gate.Release();
            }
        });
    }

    private static SocketsHttpHandler ConnectBy(
        this SocketsHttpHandler handler, Func<DnsEndPoint, CancellationToken, ValueTask<UtpStream>> connect)
    {
        // A proxy would be what is dialled.
        handler.UseProxy = false;
        handler.ConnectCallback = async (context, cancellationToken) =>
            await connect(context.DnsEndPoint, cancellationToken).ConfigureAwait(false);
        return handler;
    }
}
