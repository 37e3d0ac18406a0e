using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace UtpPunch.AspNetCore;

/// <summary>
/// A stream as Kestrel sees it: its own pipes, so that the server reads requests where the socket has put them and writes responses into the
/// send buffer. Failures are those that Kestrel knows.
/// </summary>
internal sealed class UtpConnection : DefaultConnectionContext, IUtpConnectionFeature, IProtocolErrorCodeFeature
{
    // How long the peer may take to acknowledge the last response, while what it still sends is discarded (RFC 9112, 9.6).
    private static readonly TimeSpan LingeringClose = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource _closed = new();
    private readonly Task _closing;
    private ConnectionAbortedException? _abortReason;
    private long _errorCode = -1;

    public UtpConnection(UtpStream stream)
        : base(Guid.NewGuid().ToString("N"))
    {
        Stream = stream;
        Transport = new DuplexPipe(new RequestReader(this), new ResponseWriter(stream.Output));
        LocalEndPoint = stream.LocalEndPoint;
        RemoteEndPoint = stream.RemoteEndPoint;
        ConnectionClosed = _closed.Token;
        Features.Set<IUtpConnectionFeature>(this);
        Features.Set<IProtocolErrorCodeFeature>(this);
        _closing = RaiseClosedAsync();
    }

    public UtpStream Stream { get; }

    /// <summary>The error code with which the connection is aborted, or the peer has aborted it; -1 for none, as for Kestrel's QUIC.</summary>
    public long Error
    {
        get => Volatile.Read(ref _errorCode);
        set => Volatile.Write(ref _errorCode, value);
    }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        Interlocked.CompareExchange(ref _abortReason, abortReason, null);
        if (Error is >= 0 and <= uint.MaxValue and var code)
        {
            Stream.Abort(code);
        }
        else
        {
            Stream.Abort();
        }
    }

    /// <summary>Waits until the peer has acknowledged what the server has written, for a bounded time, and closes the stream.</summary>
    public override async ValueTask DisposeAsync()
    {
        // Bytes that were not read would reset the stream, and the peer would lose the end of the response.
        await Transport.Input.CompleteAsync().ConfigureAwait(false);
        await Transport.Output.CompleteAsync().ConfigureAwait(false);
        try
        {
            await Stream.WritesClosed.WaitAsync(LingeringClose).ConfigureAwait(false);
        }
        catch (Exception error) when (error is UtpException or TimeoutException)
        {
            // The peer does not get the rest.
        }

        await Stream.DisposeAsync().ConfigureAwait(false);
        await _closing.ConfigureAwait(false);
        _closed.Dispose();
    }

    /// <summary>The failure of a read, as Kestrel knows it.</summary>
    public Exception Translated(Exception failure)
    {
        if (failure is UtpException { ApplicationErrorCode: { } code })
        {
            Error = code;
        }

        return Known(failure);
    }

    private Exception Known(Exception failure) => failure switch
    {
        UtpException or ObjectDisposedException when _abortReason is not null => _abortReason,
        UtpException { Error: UtpError.ConnectionReset } => new ConnectionResetException(failure.Message, failure),
        UtpException { Error: UtpError.Aborted or UtpError.NodeClosed } or ObjectDisposedException =>
            new ConnectionAbortedException(failure.Message, failure),
        _ => failure,
    };

    // When the peer has ended, or the stream has. On the thread pool: what the server has registered must not run in the loop.
    private async Task RaiseClosedAsync()
    {
        await Stream.ReadsClosed.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        try
        {
            await _closed.CancelAsync().ConfigureAwait(false);
        }
        catch (AggregateException)
        {
            // A callback of the server has failed. It has no caller that could be told.
        }
    }

    private sealed record DuplexPipe(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
