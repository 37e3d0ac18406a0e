using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Starts a discovery by STUN, and completes with its outcome.</summary>
internal sealed class DiscoverCommand(StunOptions options) : ICommand, INodeTask
{
    private readonly TaskCompletionSource<StunOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly Lock _gate = new();
    private int _taskId;
    private bool _cancelled;

    public Task<StunOutcome> Outcome => _outcome.Task;

    public bool IsLegacy => false;

    public void Collect(Engine engine, List<Event> events)
    {
        lock (_gate)
        {
            if (_cancelled)
            {
                return;
            }

            if (engine.IsClosing)
            {
                Abandon(Failure.NodeClosed());
                return;
            }

            _taskId = engine.Enlist(this);
            events.Add(Event.NewDiscover(_taskId, options));
        }
    }

    /// <summary>Ends it without an outcome.</summary>
    public void Cancel(Engine engine)
    {
        lock (_gate)
        {
            _cancelled = true;
            if (_taskId != 0)
            {
                engine.Post(new CancelCommand(_taskId, isForgotten: true));
            }
        }
    }

    public void Abandon(Failure failure) => OnLost(failure);

    public void OnDiscovered(StunOutcome outcome) => _outcome.TrySetResult(outcome);

    public void OnRegistered(Endpoint observed, PortPrediction mapping)
    {
    }

    public void OnIntroduced(Endpoint peer)
    {
    }

    public bool OnPunched(PunchReport report, Task<UtpStream>? opened) => true;

    public void OnLost(Failure failure)
    {
        _outcome.TrySetException(failure.ToException());
        _ = _outcome.Task.Exception;
    }
}
