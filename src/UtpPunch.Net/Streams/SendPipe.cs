using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;

namespace UtpPunch;

/// <summary>
/// A stream's <see cref="PipeWriter"/>. It gives out arrays that become the send buffer: what a flush has taken is not copied. A flush completes
/// when the send buffer has room for all of it. As any pipe, it is used by one thread at a time, but for <see cref="CancelPendingFlush"/>. The
/// write side's lock guards what the loop sees.
/// </summary>
internal sealed class SendPipe(UtpStream stream, WriteSide side) : PipeWriter, IValueTaskSource<FlushResult>
{
    private readonly List<PipedArray> _full = [];
    private ManualResetValueTaskSourceCore<FlushResult> _source = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _cancellation;
    private byte[]? _array;
    private int _start;
    private int _end;
    private int _limit;
    private int _unflushed;
    private bool _isPlaced;
    private bool _isWaiting;
    private bool _isCanceled;
    private bool _isCompleted;

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _unflushed;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        ThrowIfCompleted();
        lock (side)
        {
            _isPlaced = true;
            if (_array is null || _limit - _end < Math.Max(1, sizeHint))
            {
                Renew(sizeHint);
            }

            return _array.AsMemory(_end, _limit - _end);
        }
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, _limit - _end);
        _end += bytes;
        _unflushed += bytes;
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<FlushResult>(cancellationToken);
        }

        try
        {
            ThrowIfCompleted();
            var isAll = Commit();
            if (TakeCancellation())
            {
                return new ValueTask<FlushResult>(new FlushResult(isCanceled: true, isCompleted: false));
            }

            // Acknowledgements may wait in the socket while the loop has no leader.
            if (isAll || (stream.Engine.TryPollOnce() && side.TakePiped()))
            {
                return default;
            }

            if (!TryBeginWaiting())
            {
                side.TakePiped();
                return default;
            }
        }
        catch (Exception error)
        {
            return ValueTask.FromException<FlushResult>(error);
        }

        _cancellation = cancellationToken.UnsafeRegister(static (self, token) => ((SendPipe)self!).Wake(new OperationCanceledException(token)), this);
        return new ValueTask<FlushResult>(this, _source.Version);
    }

    public override void CancelPendingFlush()
    {
        lock (side)
        {
            if (EndWaiting())
            {
                _source.SetResult(new FlushResult(isCanceled: true, isCompleted: false));
            }
            else
            {
                _isCanceled = true;
            }
        }
    }

    public override void Complete(Exception? exception = null)
    {
        if (_isCompleted)
        {
            return;
        }

        if (exception is not null)
        {
            // The peer must not take a part for the whole.
            _isCompleted = true;
            stream.Abort();
            return;
        }

        try
        {
            Commit();
            _isCompleted = true;
            side.Seal();
        }
        catch (Exception error) when (error is UtpException or ObjectDisposedException or InvalidOperationException)
        {
            // The stream has ended before, as its tasks and its reads tell.
            _isCompleted = true;
        }
    }

    /// <summary>Whether a flush waits for room. Under the write side's lock.</summary>
    public bool IsWaiting => _isWaiting;

    /// <summary>All that was flushed has room, or nothing will be sent any more. Under the write side's lock.</summary>
    public void Wake(Exception? failure)
    {
        lock (side)
        {
            if (!EndWaiting())
            {
                return;
            }

            if (failure is null)
            {
                _source.SetResult(default);
            }
            else
            {
                _source.SetException(failure);
            }
        }
    }

    /// <summary>Everything is acknowledged: an idle stream holds nothing. Under the write side's lock.</summary>
    /// <returns>The array that is free.</returns>
    public byte[]? Rest()
    {
        if (_isPlaced)
        {
            return null;
        }

        var array = _array;
        Leave();
        return array;
    }

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token)
    {
        _cancellation.Dispose(); // Waits for a cancellation under way: it must not meet the next flush.
        _cancellation = default;
        try
        {
            return _source.GetResult(token);
        }
        finally
        {
            _source.Reset();
        }
    }

    ValueTaskSourceStatus IValueTaskSource<FlushResult>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<FlushResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    // Whether all of it had room.
    private bool Commit()
    {
        bool isAll;
        bool inline;
        var count = _unflushed;
        lock (side)
        {
            if (_end > _start)
            {
                _full.Add(new PipedArray(_array!, _start, _end, IsLast: _end == _limit));
                _start = _end;
            }

            if (_array is not null && _end == _limit)
            {
                Leave();
            }

            try
            {
                isAll = side.Commit(_full, count, out inline);
            }
            finally
            {
                _full.Clear();
                _unflushed = 0;
                _isPlaced = false;
            }
        }

        if (count > 0)
        {
            stream.Post(inline);
        }

        return isAll;
    }

    private bool TakeCancellation()
    {
        lock (side)
        {
            var isCanceled = _isCanceled;
            _isCanceled = false;
            return isCanceled;
        }
    }

    private bool TryBeginWaiting()
    {
        lock (side)
        {
            // Room may have come, or the stream may have broken.
            if (!side.HasPiped || side.IsBroken)
            {
                return false;
            }

            _isWaiting = true;
            stream.Engine.BeginWaiting();
            return true;
        }
    }

    private bool EndWaiting()
    {
        if (!_isWaiting)
        {
            return false;
        }

        _isWaiting = false;
        stream.Engine.EndWaiting();
        return true;
    }

    private void Renew(int wanted)
    {
        var before = _array is null ? 0 : _array.Length;
        if (_array is not null)
        {
            _full.Add(new PipedArray(_array, _start, _end, IsLast: true));
        }

        _array = PipedArray.Rent(Math.Max(wanted, before));
        _limit = side.WholePackets(_array.Length);
        if (_limit < wanted)
        {
            _limit = _array.Length;
        }

        (_start, _end) = (0, 0);
    }

    private void Leave() => (_array, _start, _end, _limit) = (null, 0, 0, 0);

    private void ThrowIfCompleted()
    {
        if (_isCompleted)
        {
            throw new InvalidOperationException("The writer was completed.");
        }
    }
}
