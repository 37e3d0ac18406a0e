using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace UtpPunch.AspNetCore;

/// <summary>
/// A stream as Kestrel sees it: a pair of pipes, and two loops that carry bytes between them and the stream, as Kestrel's own transport for
/// sockets has them. The server's side of the output never throws when the peer has gone; it is completed.
/// </summary>
internal sealed class UtpConnection : DefaultConnectionContext, IUtpConnectionFeature
{
    // The limits of Kestrel's transport for sockets.
    private const long MaxReadBuffer = 1024 * 1024;
    private const long MaxWriteBuffer = 64 * 1024;
    private const int SegmentSize = 16 * 1024;

    // How long the peer may take to acknowledge the last response, while what it still sends is discarded (RFC 9112, 9.6).
    private static readonly TimeSpan LingeringClose = TimeSpan.FromSeconds(5);

    private readonly PipeReader _output;
    private readonly PipeWriter _input;
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _closedRaised = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _receiving;
    private readonly Task _sending;
    private ConnectionAbortedException? _abortReason;

    public UtpConnection(UtpStream stream)
        : base(Guid.NewGuid().ToString("N"))
    {
        Stream = stream;
        var input = new Pipe(OptionsOf(MaxReadBuffer));
        var output = new Pipe(OptionsOf(MaxWriteBuffer));
        _input = input.Writer;
        _output = output.Reader;
        Application = new DuplexPipe(output.Reader, input.Writer);
        Transport = new DuplexPipe(input.Reader, output.Writer);
        LocalEndPoint = stream.LocalEndPoint;
        RemoteEndPoint = stream.RemoteEndPoint;
        ConnectionClosed = _closed.Token;
        Features.Set<IUtpConnectionFeature>(this);
        _receiving = ReceiveAsync();
        _sending = SendAsync();
    }

    public UtpStream Stream { get; }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        Interlocked.CompareExchange(ref _abortReason, abortReason, null);
        Stream.Abort();
        _output.CancelPendingRead();
    }

    /// <summary>Waits until the peer has acknowledged what the server has written, for a bounded time, and closes the stream.</summary>
    public override async ValueTask DisposeAsync()
    {
        await Transport.Input.CompleteAsync().ConfigureAwait(false);
        await Transport.Output.CompleteAsync().ConfigureAwait(false);
        await _sending.ConfigureAwait(false);
        try
        {
            await Stream.WritesClosed.WaitAsync(LingeringClose).ConfigureAwait(false);
        }
        catch (Exception error) when (error is UtpException or TimeoutException)
        {
            // The peer does not get the rest.
        }

        // A read that waits ends, too.
        await Stream.DisposeAsync().ConfigureAwait(false);
        await _receiving.ConfigureAwait(false);
        await _closedRaised.Task.ConfigureAwait(false);
        _closed.Dispose();
    }

    private static PipeOptions OptionsOf(long limit) => new(
        pauseWriterThreshold: limit, resumeWriterThreshold: limit / 2, minimumSegmentSize: SegmentSize, useSynchronizationContext: false);

    private async Task ReceiveAsync()
    {
        Exception? error = null;
        try
        {
            if (!await FillAsync().ConfigureAwait(false))
            {
                await DiscardAsync().ConfigureAwait(false);
            }
        }
        catch (Exception failure)
        {
            error = Translated(failure);
        }
        finally
        {
            await _input.CompleteAsync(_abortReason ?? error).ConfigureAwait(false);
            RaiseClosed();
        }
    }

    /// <summary>Carries bytes to the server: true at the end of the stream, false when the server reads no more.</summary>
    private async Task<bool> FillAsync()
    {
        while (true)
        {
            // An idle connection holds no buffer.
            await Stream.ReadAsync(Memory<byte>.Empty).ConfigureAwait(false);
            var count = await Stream.ReadAsync(_input.GetMemory(SegmentSize / 4)).ConfigureAwait(false);
            if (count == 0)
            {
                return true;
            }

            _input.Advance(count);
            var flushed = await _input.FlushAsync().ConfigureAwait(false);
            if (flushed.IsCompleted || flushed.IsCanceled)
            {
                return false;
            }
        }
    }

    // Bytes that were not read would reset the stream, and the peer would lose the end of the response.
    private async Task DiscardAsync()
    {
        var rest = new byte[SegmentSize / 4];
        while (await Stream.ReadAsync(rest).ConfigureAwait(false) != 0)
        {
        }
    }

    private async Task SendAsync()
    {
        try
        {
            while (true)
            {
                var result = await _output.ReadAsync().ConfigureAwait(false);
                if (result.IsCanceled)
                {
                    break;
                }

                foreach (var segment in result.Buffer)
                {
                    await Stream.WriteAsync(segment).ConfigureAwait(false);
                }

                _output.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                {
                    Stream.CompleteWrites();
                    break;
                }
            }
        }
        catch (Exception failure) when (failure is UtpException or ObjectDisposedException or InvalidOperationException)
        {
            // The peer, or the node, has gone. The reads report it.
        }
        finally
        {
            await _output.CompleteAsync().ConfigureAwait(false);
        }
    }

    private static Exception Translated(Exception failure) => failure switch
    {
        UtpException { Error: UtpError.ConnectionReset } => new ConnectionResetException(failure.Message, failure),
        UtpException { Error: UtpError.Aborted or UtpError.NodeClosed } or ObjectDisposedException =>
            new ConnectionAbortedException(failure.Message, failure),
        _ => failure,
    };

    // On the thread pool: what the server has registered must not run, or throw, in the loop.
    private void RaiseClosed() =>
        ThreadPool.UnsafeQueueUserWorkItem(static connection => connection.CancelClosed(), this, preferLocal: false);

    private void CancelClosed()
    {
        try
        {
            _closed.Cancel();
        }
        catch (AggregateException)
        {
            // A callback of the server has failed. It has no caller that could be told.
        }
        finally
        {
            _closedRaised.TrySetResult();
        }
    }

    private sealed record DuplexPipe(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
