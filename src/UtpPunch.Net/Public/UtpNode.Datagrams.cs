using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Takes a datagram that is not uTP.</summary>
/// <param name="datagram">Valid during the call only.</param>
/// <param name="from">Who sent it, or claims to have.</param>
/// <param name="node">Which node received it.</param>
public delegate void DatagramHandler(ReadOnlySpan<byte> datagram, IPEndPoint from, UtpNode node);

// Other protocols on the same port: a DHT, STUN, the packets of a game.
public sealed partial class UtpNode
{
    private const int MaxDatagram = 65507;

    private volatile DatagramHandler? _handler;

    /// <summary>
    /// Hands datagrams that are not uTP to a handler; without one they are thrown away. It runs on the thread that serves the socket, which
    /// is one of yours while that waits in a synchronous read or write of a stream. It must not block: a synchronous read or write that
    /// would have to wait throws <see cref="InvalidOperationException"/>. Its own exceptions are ignored. Anybody can send to a UDP port: it
    /// must check what it is given.
    /// </summary>
    /// <param name="handler">Replaces the last one; null for none.</param>
    public void OnDatagram(DatagramHandler? handler) => _handler = handler;

    /// <summary>Sends a datagram from the node's port, and waits until the system has taken it. Whether it arrives nobody knows.</summary>
    /// <param name="datagram">Must not change until the call has completed. A first byte whose lower half is 1 and whose upper half is
    /// less than 5 makes it look like uTP to the peer.</param>
    /// <param name="remoteEndPoint">An <see cref="IPEndPoint"/>.</param>
    /// <param name="cancellationToken">Looked at before the datagram is handed over.</param>
    /// <exception cref="ArgumentException">The datagram has more than 65507 bytes, or the end point is of another kind.</exception>
    /// <exception cref="UtpException">The system would not send it: <see cref="UtpError.NetworkUnreachable"/>,
    /// <see cref="UtpError.DatagramTooLong"/> or <see cref="UtpError.DatagramNotSent"/>. The inner exception is the socket's.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    public ValueTask SendDatagramAsync(ReadOnlyMemory<byte> datagram, EndPoint remoteEndPoint, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(remoteEndPoint);
        if (datagram.Length > MaxDatagram)
        {
            throw new ArgumentException($"A datagram has at most {MaxDatagram} bytes.", nameof(datagram));
        }

        if (remoteEndPoint is not IPEndPoint { Port: > 0 } remote)
        {
            throw new ArgumentException("The end point is an IPEndPoint with a port.", nameof(remoteEndPoint));
        }

        ThrowIfUnusable();
        return cancellationToken.IsCancellationRequested
            ? ValueTask.FromCanceled(cancellationToken)
            : SendAsync(Addresses.ToEndpoint(remote), datagram);
    }

    private async ValueTask SendAsync(Endpoint remote, ReadOnlyMemory<byte> datagram)
    {
        var work = new DatagramWork(remote, datagram);
        _engine.Post(work);
        if (await work.Sent.ConfigureAwait(false) is { } cause)
        {
            throw Failure.NotSent(Addresses.ToIPEndPoint(remote), datagram.Length, cause).ToException();
        }
    }

    internal void OnForeign(Endpoint from, Borrowed datagram)
    {
        if (_handler is not { } handler)
        {
            return;
        }

        try
        {
            handler(datagram.Span, Addresses.ToIPEndPoint(from), this);
        }
        catch (Exception)
        {
            // As documented: the handler is the user's, and this thread serves all streams.
        }
    }
}
