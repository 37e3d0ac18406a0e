using UtpPunch.Protocol;

namespace UtpPunch;

// How a stream comes into being, ends, and talks with the engine. The wishes of its users gather here until the engine collects them, all
// at once and in an order that the core understands; so a thousand small writes cost the engine one look.
public sealed partial class UtpStream : IWork
{
    private readonly Engine _engine;
    private readonly Endpoint _remote;
    private readonly Dialect _dialect;
    private readonly TimeSpan _patience;
    private readonly ReadSide _read;
    private readonly WriteSide _write;
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _opening = Promise();
    private readonly TaskCompletionSource _readsClosed = Promise();
    private readonly TaskCompletionSource _writesClosed = Promise();
    private readonly TaskCompletionSource _closed = Promise();
    private readonly long _born = Clock.Now;
    private UtpStreamStatistics _finalStatistics;
    private TimeSpan _idleTimeout;
    private int _posted;
    private int _disposed;
    private volatile int _connId = -1;
    private bool _taken;
    private bool _idleChanged;
    private bool _releaseWanted;
    private bool _released;
    private bool _abortWanted;
    private bool _aborted;
    private bool _nodeClosing;
    private bool _gone;

    private UtpStream(Engine engine, Endpoint remote, Dialect dialect, TimeSpan patience, bool isIncoming)
    {
        var options = engine.Settings.For(dialect);
        _engine = engine;
        _remote = remote;
        _dialect = dialect;
        _patience = patience;
        _idleTimeout = Clock.ToTimeSpan(options.IdleTimeout);
        IsIncoming = isIncoming;
        RemoteEndPoint = Addresses.ToIPEndPoint(remote);
        MaxPayload = options.PacketSize - Wire.HeaderLength;
        _read = new ReadSide(this, options.ReceiveBuffer);
        _write = new WriteSide(this, options.SendBuffer, MaxPayload);
    }

    /// <summary>A stream that is about to be dialled: the engine sends the SYN when it collects it.</summary>
    internal static UtpStream Dialled(Engine engine, Endpoint remote, Dialect dialect, TimeSpan patience) =>
        new(engine, remote, dialect, patience, isIncoming: false);

    /// <summary>A stream that a peer has opened.</summary>
    internal static UtpStream Accepted(Engine engine, int connId, Endpoint remote, ushort connectionId)
    {
        var stream = new UtpStream(engine, remote, engine.Settings.Dialect, TimeSpan.Zero, isIncoming: true)
        {
            _connId = connId,
            ConnectionId = connectionId,
        };
        stream._opening.SetResult();
        return stream;
    }

    /// <summary>Completes when a dialled stream is open; fails when it never will be.</summary>
    internal Task Opening => _opening.Task;

    /// <summary>Whether the stream has ended for good.</summary>
    internal bool IsGone
    {
        get
        {
            lock (_gate)
            {
                return _gone;
            }
        }
    }

    /// <summary>How long nothing at all may be heard from the peer until the stream is given up.</summary>
    /// <value><see cref="UtpNodeOptions.IdleTimeout"/> by default; <see cref="Timeout.InfiniteTimeSpan"/> is never.</value>
    /// <exception cref="ArgumentOutOfRangeException">The value is not positive.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    public TimeSpan IdleTimeout
    {
        get
        {
            lock (_gate)
            {
                return _idleTimeout;
            }
        }

        set
        {
            if (value != Timeout.InfiniteTimeSpan)
            {
                ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(value, TimeSpan.Zero);
            }

            ObjectDisposedException.ThrowIf(IsDisposed, this);
            lock (_gate)
            {
                _idleTimeout = value;
                _idleChanged = true;
            }

            Post();
        }
    }

    private bool IsDisposed => Volatile.Read(ref _disposed) != 0;

    /// <summary>
    /// Ends this side: the peer reads the end after the last byte. Reads go on. Does not wait; see <see cref="WritesClosed"/>. A write
    /// under way may still complete, and the end follows it. Called again it does nothing. Some BitTorrent clients take the end of one
    /// side for that of both.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    public void CompleteWrites() => _write.Seal();

    /// <summary>
    /// Completes when the peer has acknowledged everything that was written up to now. That says that the bytes have arrived at the
    /// peer's node, not that anybody has read them.
    /// </summary>
    /// <exception cref="UtpException">The stream broke off before.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled; that changes nothing.</exception>
    public ValueTask DrainAsync(CancellationToken cancellationToken = default) => new(_write.DrainAsync(cancellationToken));

    /// <summary>
    /// Resets the stream now: what was not yet sent or read is lost, and the peer meets <see cref="UtpError.ConnectionReset"/>. Reads
    /// and writes under way, and later ones, fail with <see cref="UtpError.Aborted"/>. Does not wait. Called again it does nothing.
    /// </summary>
    public void Abort()
    {
        lock (_gate)
        {
            if (_gone || _abortWanted)
            {
                return;
            }

            _abortWanted = true;
        }

        var failure = Failure.Aborted(RemoteEndPoint);
        _read.Fail(failure, discard: true);
        _write.Fail(failure);
        Post();
    }

    /// <summary>What the stream has measured and counted so far. May be called when it has ended, too.</summary>
    public UtpStreamStatistics GetStatistics()
    {
        var statistics = _engine.StatisticsOf(_connId);
        lock (_gate)
        {
            return _gone || statistics is null ? _finalStatistics : statistics.Value;
        }
    }

    /// <summary>
    /// Disposes the stream, and waits until the peer has acknowledged the last byte and the end, or the stream was given up
    /// (<see cref="UtpNodeOptions.LingerTimeout"/>). Never throws; ask <see cref="WritesClosed"/> how it went.
    /// </summary>
    public override async ValueTask DisposeAsync()
    {
        Dispose();
        await WritesClosed.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>
    /// Ends the stream without waiting. What was written, and the end, are still sent, and given up when nothing is acknowledged for
    /// <see cref="UtpNodeOptions.LingerTimeout"/>. When bytes have come that were never read, the stream is reset instead, as with TCP:
    /// the peer should learn that they were lost. Reads and writes under way fail with <see cref="ObjectDisposedException"/>.
    /// </summary>
    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            var unread = _read.Dispose();
            _write.Dispose();
            lock (_gate)
            {
                var reset = unread || _engine.Settings.LingerTimeout == TimeSpan.Zero;
                _abortWanted |= reset;
                _releaseWanted |= !reset;
            }

            Post();
        }

        base.Dispose(disposing);
    }

    /// <summary>The application has taken the stream from the listener.</summary>
    internal void OnTaken()
    {
        lock (_gate)
        {
            _taken = true;
        }

        Post();
    }

    /// <summary>There is something that the engine should collect.</summary>
    internal void Post()
    {
        if (Interlocked.Exchange(ref _posted, 1) == 0)
        {
            _engine.Post(this);
        }
    }

    void IWork.Collect(Engine engine, List<Event> events)
    {
        Interlocked.Exchange(ref _posted, 0); // Whatever comes from here on needs another look.
        if (_connId < 0 && !Dial(events))
        {
            return;
        }

        lock (_gate)
        {
            Gather(events);
        }
    }

    void IWork.Abandon(Failure failure) => OnLost(failure);

    internal void OnOpened(ushort connectionId)
    {
        ConnectionId = connectionId;
        _opening.TrySetResult();
    }

    internal void OnDeliver(Payload payload) => _read.Deliver(payload);

    internal void OnWritable(int room) => _write.OnWritable(room);

    internal void OnEnded()
    {
        _read.OnEnded();
        _readsClosed.TrySetResult();
    }

    internal void OnFinished()
    {
        _write.OnFinished();
        _writesClosed.TrySetResult();
    }

    /// <summary>The core has closed the stream.</summary>
    internal void OnClosed(CloseReason reason, UtpStreamStatistics statistics)
    {
        bool nodeClosing;
        lock (_gate)
        {
            _finalStatistics = statistics;
            nodeClosing = _nodeClosing;
        }

        Finish(reason.IsAborted && nodeClosing
            ? Failure.NodeClosed(RemoteEndPoint)
            : Failure.Of(reason, RemoteEndPoint, Clock.Since(_born)));
    }

    /// <summary>The engine has stopped, and with it the stream.</summary>
    internal void OnLost(Failure? fault) => Finish(fault ?? Failure.NodeClosed(RemoteEndPoint));

    /// <summary>The node is asked to close: nobody reads or writes any more, but what was written is still sent.</summary>
    internal void OnNodeClosing(List<Event> events)
    {
        var failure = Failure.NodeClosed(RemoteEndPoint);
        _read.Fail(failure);
        _write.Fail(failure);
        lock (_gate)
        {
            _nodeClosing = true;
            if (_opening.Task.IsCompletedSuccessfully)
            {
                _releaseWanted = true;
            }
            else
            {
                _abortWanted = true;
            }

            Gather(events);
        }

        FailTask(_opening, failure);
    }

    /// <summary>False when the stream ended before it began.</summary>
    private bool Dial(List<Event> events)
    {
        if (_engine.IsClosing)
        {
            OnLost(_engine.Fault);
            return false;
        }

        lock (_gate)
        {
            if (!_abortWanted && !_gone)
            {
                _connId = _engine.Enlist(this);
                events.Add(Event.NewConnect(_connId, _remote, _dialect, Clock.ToMicroseconds(_patience)));
                return true;
            }
        }

        Finish(Failure.Aborted(RemoteEndPoint));
        return false;
    }

    // Under the lock, on the engine's thread.
    private void Gather(List<Event> events)
    {
        if (_gone || _aborted)
        {
            return;
        }

        if (_taken)
        {
            _taken = false;
            events.Add(Event.NewTaken(_connId));
        }

        if (_abortWanted)
        {
            _aborted = true;
            events.Add(Event.NewAbort(_connId));
        }
        else if (!_released)
        {
            GatherTraffic(events);
        }
    }

    private void GatherTraffic(List<Event> events)
    {
        if (_idleChanged)
        {
            _idleChanged = false;
            events.Add(Event.NewSetIdleTimeout(_connId, Clock.ToMicroseconds(_idleTimeout)));
        }

        if (_read.TakeReport() is > 0 and var consumed)
        {
            events.Add(Event.NewConsumed(_connId, consumed));
        }

        _write.Collect(_connId, events);
        if (_releaseWanted)
        {
            _released = true;
            events.Add(Event.NewRelease(_connId, Clock.ToMicroseconds(_engine.Settings.LingerTimeout)));
        }
    }

    private void Finish(Failure? failure)
    {
        lock (_gate)
        {
            if (_gone)
            {
                return;
            }

            _gone = true;
        }

        if (failure is null)
        {
            _read.OnEnded();
            _write.OnFinished();
            _readsClosed.TrySetResult();
            _writesClosed.TrySetResult();
            _closed.TrySetResult();
            return;
        }

        _read.Fail(failure);
        _write.Fail(failure);
        FailTask(_opening, failure);
        FailTask(_readsClosed, failure);
        FailTask(_writesClosed, failure);
        FailTask(_closed, failure);
    }

    private static TaskCompletionSource Promise() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Nobody need look at these tasks: looking here keeps the runtime from reporting an unobserved exception.
    private static void FailTask(TaskCompletionSource promise, Failure failure)
    {
        if (promise.TrySetException(failure.ToException()))
        {
            _ = promise.Task.Exception;
        }
    }
}
