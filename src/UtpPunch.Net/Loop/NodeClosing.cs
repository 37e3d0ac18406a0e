using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// How a node ends. When it is closed, it lets its streams finish until a deadline and resets the rest; then its socket is closed. A node
/// that has failed fails its streams at once.
/// </summary>
internal sealed class NodeClosing
{
    // After the last stream has ended, its peer may still lack the last acknowledgement. The core waits for at most 8 s and four round trips.
    private const long FarewellTimeout = 12_000_000;

    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private long _closeBy = Time.never;
    private long _exitBy = Time.never;
    private volatile bool _isRequested;
    private Failure? _fault;

    // Under the loop lock.
    private bool _isUnderWay;
    private bool _isResetting;

    /// <summary>Completes when the socket is closed; fails when the node broke down.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Why the node broke down; null when it did not, or still closes.</summary>
    public Failure? Fault => Volatile.Read(ref _fault);

    public bool IsRequested => _isRequested;

    /// <summary>Whether streams are no longer accepted. Under the loop lock.</summary>
    public bool IsUnderWay => _isUnderWay;

    /// <summary>Starts to close the node. The earliest deadlines hold.</summary>
    /// <param name="timeout">How long the streams may take to finish.</param>
    /// <param name="awaitsFarewell">Whether the socket stays open beyond that for peers that lack an acknowledgement.</param>
    public void Request(TimeSpan timeout, bool awaitsFarewell)
    {
        lock (_gate)
        {
            var closeBy = Clock.After(Clock.Now, Clock.ToMicroseconds(timeout));
            _closeBy = Math.Min(_closeBy, closeBy);
            _exitBy = Math.Min(_exitBy, awaitsFarewell ? Clock.After(closeBy, FarewellTimeout) : closeBy);
            _isRequested = true;
        }
    }

    /// <summary>When the node is due, given when its core is. Under the loop lock.</summary>
    public long Deadline(Node node)
    {
        var deadline = NodeModule.Deadline(node);
        return _isUnderWay ? Math.Min(deadline, Math.Min(_isResetting ? ExitBy : CloseBy, NodeModule.QuietAt(node))) : deadline;
    }

    /// <summary>Adds the events of a node that closes. Under the loop lock.</summary>
    /// <param name="events">The events of the next step.</param>
    /// <param name="streams">The streams of the node.</param>
    /// <param name="stopListening">An action that runs once, when closing begins.</param>
    public void Gather(List<Event> events, StreamTable streams, Action stopListening)
    {
        if (!_isRequested)
        {
            return;
        }

        if (!_isUnderWay)
        {
            _isUnderWay = true;
            stopListening();
            foreach (var stream in streams.All)
            {
                stream.OnNodeClosing(events);
            }
        }

        if (!_isResetting && Clock.Now >= CloseBy)
        {
            _isResetting = true;
            foreach (var connId in streams.ConnIds)
            {
                events.Add(Event.NewAbort(connId));
            }
        }
    }

    /// <summary>Whether the step was the last one. Under the loop lock.</summary>
    public bool IsDone(long now, Node node, StreamTable streams) =>
        _isUnderWay && ((_isResetting && now >= ExitBy) || (streams.Count == 0 && NodeModule.QuietAt(node) <= now));

    /// <summary>No further step is taken.</summary>
    public void Stop(Failure? fault)
    {
        Volatile.Write(ref _fault, fault);
        _isRequested = true;
    }

    /// <summary>The socket is closed.</summary>
    public void Complete()
    {
        if (Fault is { } fault)
        {
            _completion.SetException(fault.ToException());
            _ = _completion.Task.Exception;
        }
        else
        {
            _completion.SetResult();
        }
    }

    private long ExitBy
    {
        get
        {
            lock (_gate)
            {
                return _exitBy;
            }
        }
    }

    private long CloseBy
    {
        get
        {
            lock (_gate)
            {
                return _closeBy;
            }
        }
    }
}
