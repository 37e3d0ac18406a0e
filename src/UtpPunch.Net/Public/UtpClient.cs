using System.Net;

namespace UtpPunch;

/// <summary>Opens single streams, each from a node of its own: for programs that connect once, and accept nothing.</summary>
/// <remarks>A program with more than a few streams binds a <see cref="UtpNode"/>, so that all of them use one port.</remarks>
/// <example><code>
/// await using var stream = await UtpClient.ConnectAsync("host.example", 9000);
/// </code></example>
public static class UtpClient
{
    /// <summary>Opens a stream to a peer by its name or address, from a port that the system chooses.</summary>
    /// <param name="host">The name, or an IP address in digits.</param>
    /// <param name="port">The UDP port, from 1 to 65535.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <returns>The stream, which the caller disposes. Its node is closed when the stream has ended.</returns>
    /// <exception cref="ArgumentException">The name is empty, or the port is out of its range.</exception>
    /// <exception cref="UtpException">The peer did not answer in time, or refused; there is no route to it; or the name has no address.</exception>
    /// <exception cref="OperationCanceledException">The attempt was cancelled.</exception>
    public static ValueTask<UtpStream> ConnectAsync(string host, int port, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(host);
        return ConnectAsync(IPAddress.TryParse(host, out var address) ? new IPEndPoint(address, port) : new DnsEndPoint(host, port), null, cancellationToken);
    }

    /// <summary>Opens a stream to a peer, from a node with given options.</summary>
    /// <param name="remoteEndPoint">An <see cref="IPEndPoint"/>, or a <see cref="DnsEndPoint"/>.</param>
    /// <param name="options">The options of the node, which are copied; <see langword="null"/> for the defaults.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <returns>The stream, which the caller disposes. Its node is closed when the stream has ended.</returns>
    /// <inheritdoc cref="UtpNode.ConnectAsync(EndPoint, UtpConnectOptions?, CancellationToken)"/>
    public static async ValueTask<UtpStream> ConnectAsync(EndPoint remoteEndPoint, UtpNodeOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(remoteEndPoint);
        var node = await UtpNode.BindAsync(options, cancellationToken).ConfigureAwait(false);
        UtpStream stream;
        try
        {
            stream = await node.ConnectAsync(remoteEndPoint, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await node.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        _ = CloseAfterAsync(node, stream);
        return stream;
    }

    private static async Task CloseAfterAsync(UtpNode node, UtpStream stream)
    {
        await stream.Closed.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await node.DisposeAsync().ConfigureAwait(false);
    }
}
