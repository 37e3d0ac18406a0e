using System.IO.Pipelines;

namespace UtpPunch.AspNetCore;

/// <summary>The reader of a stream's pipe, with the failures that Kestrel knows.</summary>
internal sealed class RequestReader(UtpConnection connection) : PipeReader
{
    private readonly PipeReader _input = connection.Stream.Input;

    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            return await _input.ReadAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is UtpException or ObjectDisposedException)
        {
            throw connection.Translated(failure);
        }
    }

    public override bool TryRead(out ReadResult result)
    {
        try
        {
            return _input.TryRead(out result);
        }
        catch (Exception failure) when (failure is UtpException or ObjectDisposedException)
        {
            throw connection.Translated(failure);
        }
    }

    public override void AdvanceTo(SequencePosition consumed) => _input.AdvanceTo(consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => _input.AdvanceTo(consumed, examined);

    public override void CancelPendingRead() => _input.CancelPendingRead();

    public override void Complete(Exception? exception = null) => _input.Complete(exception);
}
