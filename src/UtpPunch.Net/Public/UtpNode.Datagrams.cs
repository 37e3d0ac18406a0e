using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Handles a datagram that is not uTP.</summary>
/// <param name="datagram">The payload. It is valid during the call only.</param>
/// <param name="from">The source address, which may be forged.</param>
/// <param name="node">The node that has received the datagram.</param>
public delegate void UtpDatagramHandler(ReadOnlySpan<byte> datagram, IPEndPoint from, UtpNode node);

// Other protocols on the same port: a DHT, STUN, the packets of a game.
public sealed partial class UtpNode
{
    private const int MaxDatagram = 65507;

    private volatile UtpDatagramHandler? _handler;

    /// <summary>
    /// Gets or sets the handler of datagrams that are not uTP. Without a handler they are dropped. The handler is called on the thread that serves
    /// the socket, which may be a thread of the application that waits in a synchronous read or write of a stream. It must not block: a
    /// synchronous read or write that would have to wait throws <see cref="InvalidOperationException"/>. Exceptions of the handler are
    /// logged (<see cref="UtpNodeOptions.LoggerFactory"/>) and have no other effect. Any host can send to a UDP port, so that the handler must validate each datagram.
    /// </summary>
    /// <value>The default is <see langword="null"/>: no handler.</value>
    /// <example><code>
    /// node.DatagramHandler = (datagram, from, self) => Console.WriteLine($"{datagram.Length} bytes from {from}");
    /// </code></example>
    public UtpDatagramHandler? DatagramHandler
    {
        get => _handler;
        set => _handler = value;
    }

    /// <summary>Sends a datagram from the socket of the node, and waits until the system has taken it. It may be lost on its way.</summary>
    /// <param name="datagram">The payload, up to 65507 bytes. It must not change until the call has completed. If the low half of its first
    /// byte is 1 and the high half is less than 5, the peer takes it for uTP.</param>
    /// <param name="remoteEndPoint">The address and port of the peer.</param>
    /// <param name="cancellationToken">Is checked before the datagram is sent.</param>
    /// <exception cref="ArgumentException">The datagram has more than 65507 bytes, or the port is 0.</exception>
    /// <exception cref="UtpException">The system has not sent the datagram: <see cref="UtpError.NetworkUnreachable"/>,
    /// <see cref="UtpError.DatagramTooLong"/> or <see cref="UtpError.DatagramNotSent"/>. The inner exception is that of the socket.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    public ValueTask SendDatagramAsync(ReadOnlyMemory<byte> datagram, IPEndPoint remoteEndPoint, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(remoteEndPoint);
        if (datagram.Length > MaxDatagram)
        {
            throw new ArgumentException($"A datagram has at most {MaxDatagram} bytes.", nameof(datagram));
        }

        if (remoteEndPoint.Port == 0)
        {
            throw new ArgumentException("Port 0 is not the port of a peer.", nameof(remoteEndPoint));
        }

        ThrowIfUnusable();
        return cancellationToken.IsCancellationRequested
            ? ValueTask.FromCanceled(cancellationToken)
            : SendAsync(Addresses.ToEndpoint(remoteEndPoint), datagram);
    }

    private async ValueTask SendAsync(Endpoint remote, ReadOnlyMemory<byte> datagram)
    {
        remote = await KnownAsync(remote, Nat64Discovery.Limit, default).ConfigureAwait(false);
        var work = new DatagramWork(remote, datagram);
        _engine.Post(work);
        if (await work.Sent.ConfigureAwait(false) is { } cause)
        {
            throw Failure.NotSent(Addresses.ToIPEndPoint(remote), datagram.Length, cause).ToException();
        }
    }

    internal void OnForeign(Endpoint from, Borrowed datagram)
    {
        if (IsForMapping(from, datagram) || _handler is not { } handler)
        {
            return;
        }

        try
        {
            handler(datagram.Span, Addresses.ToIPEndPoint(from), this);
        }
        catch (Exception error)
        {
            // As documented: the handler is the user's, and this thread serves all streams.
            _engine.Telemetry.OnDatagramHandlerFailed(error, Addresses.ToIPEndPoint(from));
        }
    }
}
