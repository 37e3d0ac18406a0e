using System.Threading.Tasks.Sources;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// One direction of a stream, from the engine to the reader. A read that has to wait is one reused value task source. The engine only says
/// that there is something; the bytes are taken by the reader's own thread when it fetches its result, so a read that was cancelled before
/// has taken nothing. The result is fetched exactly once, and until then no other read may begin.
/// </summary>
internal sealed class ReadSide(UtpStream stream, int buffer) : IValueTaskSource<int>
{
    // A window that is smaller by an eighth stalls nobody, and telling the engine about every read would cost more than the reads.
    private readonly int _reportAt = Math.Max(1, buffer / 8);
    private readonly object _gate = new();
    private readonly ReceivedBytes _bytes = new();
    private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _cancellation;
    private Memory<byte> _target;
    private Failure? _failure;
    private int _unreported;
    private bool _reading;
    private bool _waiting;
    private bool _ended;
    private bool _disposed;
    private bool _deaf;

    private bool IsReady => _bytes.Length > 0 || _ended || _disposed || _failure is not null;

    /// <summary>How many bytes could be read at once.</summary>
    public int Available
    {
        get
        {
            lock (_gate)
            {
                return _bytes.Length;
            }
        }
    }

    public int Read(Span<byte> target, int timeoutMs)
    {
        Begin();
        try
        {
            WaitBlocking(timeoutMs);
            return Take(target);
        }
        finally
        {
            End();
        }
    }

    public ValueTask<int> ReadAsync(Memory<byte> target, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<int>(cancellationToken);
        }

        Begin();
        lock (_gate)
        {
            if (!IsReady)
            {
                _target = target;
                _waiting = true;
            }
        }

        if (!_waitingBegun(target))
        {
        }

        throw new NotImplementedException();
    }
}
