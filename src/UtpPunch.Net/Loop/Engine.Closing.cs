using UtpPunch.Protocol;

namespace UtpPunch;

// How an engine ends: asked to, it lets its streams finish until a deadline and resets the rest; broken, it fails them all.
internal sealed partial class Engine
{
    // After the end of the last stream its peer may lack the last acknowledgement. The core waits for at most 8 s and four round trips.
    private const long FarewellTimeout = 12_000_000;

    private readonly Lock _closeGate = new();
    private long _closeBy = Time.never;
    private long _exitBy = Time.never;
    private volatile bool _closeRequested;
    private volatile bool _closeChanged;
    private volatile bool _stopped;
    private Failure? _fault;
    private bool _closing;
    private bool _lastStep;
    private bool _done;

    /// <summary>Completes when the socket is closed; fails when the node broke down.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Why the node broke down; null when it did not.</summary>
    public Failure? Fault => Volatile.Read(ref _fault);

    public bool IsClosing => _closeRequested;

    /// <summary>
    /// Lets all streams finish, for at most that long. The socket stays open until the node says that no peer lacks an acknowledgement,
    /// within the same time, or for somewhat longer if <paramref name="awaitsFarewell"/>. Asked twice, the earlier deadlines hold.
    /// </summary>
    public Task Close(TimeSpan timeout, bool awaitsFarewell = false)
    {
        lock (_closeGate)
        {
            var closeBy = Clock.After(Clock.Now, Clock.ToMicroseconds(timeout));
            _closeBy = Math.Min(_closeBy, closeBy);
            _exitBy = Math.Min(_exitBy, awaitsFarewell ? Clock.After(closeBy, FarewellTimeout) : closeBy);
            _closeRequested = true;
            _closeChanged = true;
        }

        Interlocked.MemoryBarrier();
        if (!_stopped)
        {
            WakeIfAsleep();
        }

        return Completion;
    }

    private long Deadline
    {
        get
        {
            var deadline = NodeModule.Deadline(_node);
            return _closing ? Math.Min(deadline, Math.Min(_lastStep ? ExitBy : CloseBy, NodeModule.QuietAt(_node))) : deadline;
        }
    }

    private long CloseBy
    {
        get
        {
            lock (_closeGate)
            {
                return _closeBy;
            }
        }
    }

    private long ExitBy
    {
        get
        {
            lock (_closeGate)
            {
                return _exitBy;
            }
        }
    }

    private void GatherClosing()
    {
        if (!_closeRequested)
        {
            return;
        }

        _closeChanged = false;
        if (!_closing)
        {
            _closing = true;
            if (_listener is { } listener)
            {
                _listener = null;
                _events.Add(Event.Unlisten);
                listener.OnStopped(Failure.NodeClosed());
            }

            foreach (var stream in _streams.Values)
            {
                stream.OnNodeClosing(_events);
            }
        }

        if (!_lastStep && Clock.Now >= CloseBy)
        {
            _lastStep = true;
            foreach (var connId in _streams.Keys)
            {
                _events.Add(Event.NewAbort(connId));
            }
        }
    }

    private void SeeWhetherClosed(long now)
    {
        if (_closing)
        {
            _done = (_lastStep && now >= ExitBy) || (_streams.Count == 0 && NodeModule.QuietAt(_node) <= now);
        }
    }

    // Nothing may wait for this engine from here on.
    private void Stop(Failure? fault)
    {
        Volatile.Write(ref _fault, fault);
        _closeRequested = true;
        _stopped = true;
        Interlocked.MemoryBarrier();
        _listener?.OnStopped(fault ?? Failure.NodeClosed());
        foreach (var stream in _streams.Values)
        {
            stream.OnLost(fault);
        }

        _streams.Clear();
        AbandonTasks(fault ?? Failure.NodeClosed());
        AbandonCommands();
        try
        {
            _transport.Dispose();
        }
        finally
        {
            if (fault is null)
            {
                _completion.SetResult();
            }
            else
            {
                _completion.SetException(fault.ToException());
                _ = _completion.Task.Exception;
            }
        }
    }

    private void AbandonCommands()
    {
        while (_commands.TryDequeue(out var work))
        {
            work.Abandon(Fault ?? Failure.NodeClosed());
        }
    }
}
