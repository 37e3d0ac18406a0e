using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Starts a discovery by STUN, and completes with its outcome.</summary>
internal sealed class DiscoverCommand(StunOptions options) : ICommand, INodeTask
{
    private readonly TaskCompletionSource<StunOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskName _name = new();

    public Task<StunOutcome> Outcome => _outcome.Task;

    public bool IsLegacy => false;

    public void Collect(Engine engine, List<Event> events)
    {
        if (_name.TryBegin(engine, this))
        {
            events.Add(Event.NewDiscover(_name.Id, options));
        }
    }

    /// <summary>Ends it without an outcome.</summary>
    public void Cancel(Engine engine) => _name.Cancel(engine, isForgotten: true);

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
