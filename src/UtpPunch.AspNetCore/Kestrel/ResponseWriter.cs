using System.IO.Pipelines;

namespace UtpPunch.AspNetCore;

/// <summary>The writer of a stream's pipe. It never throws when the peer has gone: flushes then tell that nothing more is read, as Kestrel's
/// transport for sockets does. The reads report the failure.</summary>
internal sealed class ResponseWriter(PipeWriter output) : PipeWriter
{
    public override bool CanGetUnflushedBytes => output.CanGetUnflushedBytes;

    public override long UnflushedBytes => output.UnflushedBytes;

    public override Memory<byte> GetMemory(int sizeHint = 0) => output.GetMemory(sizeHint);

    public override Span<byte> GetSpan(int sizeHint = 0) => output.GetSpan(sizeHint);

    public override void Advance(int bytes) => output.Advance(bytes);

    public override async ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            return await output.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is UtpException or ObjectDisposedException)
        {
            return new FlushResult(isCanceled: false, isCompleted: true);
        }
    }

    public override void CancelPendingFlush() => output.CancelPendingFlush();

    public override void Complete(Exception? exception = null) => output.Complete(exception);
}
