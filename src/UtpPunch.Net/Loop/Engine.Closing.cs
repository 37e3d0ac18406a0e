using UtpPunch.Protocol;

namespace UtpPunch;

// How an engine ends: asked to, it lets its streams finish until a deadline and resets the rest; broken, it fails them all.
internal sealed partial class Engine
{
    private readonly Lock _closeGate = new();
    private long _closeBy = Time.never;
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

    /// <summary>Lets all streams finish, for so long at most. Asked twice, the earlier deadline holds.</summary>
    public Task Close(TimeSpan timeout)
    {
        lock (_closeGate)
        {
            _closeBy = Math.Min(_closeBy, Clock.After(Clock.Now, Clock.ToMicroseconds(timeout)));
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
            return _closing ? Math.Min(deadline, Math.Min(CloseBy, NodeModule.QuietAt(_node))) : deadline;
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

        if (Clock.Now >= CloseBy)
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
            _done = _lastStep || (_streams.Count == 0 && NodeModule.QuietAt(_node) <= now);
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
