using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Starts a meeting, or a punch by the npm package's protocol, and completes with its result.</summary>
internal sealed class MeetCommand(Func<int, Event> begin, bool isLegacy, Action<MeetProgress>? onNews = null, ServerLookup? lookup = null)
    : ICommand, INodeTask
{
    private readonly TaskCompletionSource<PunchResult> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskName _name = new();
    private MeetProgress? _progress;
    private Task _told = Task.CompletedTask;

    public Task<PunchResult> Result => _result.Task;

    /// <summary>Its name in the core, once it was collected.</summary>
    public int TaskId => _name.Id;

    public bool IsLegacy => isLegacy;

    public void Collect(Engine engine, List<Event> events)
    {
        if (_name.TryBegin(engine, this))
        {
            events.Add(begin(_name.Id));
        }
    }

    /// <summary>Cancels it. The result is <see cref="PunchStage.Cancelled"/>.</summary>
    public void Cancel(Engine engine) => _name.Cancel(engine);

    public void Abandon(Failure failure) => OnLost(failure);

    public void OnRegistered(Endpoint observed, PortPrediction mapping) =>
        Tell(new MeetProgress(Addresses.ToIPEndPoint(observed), PunchResult.ToMapping(mapping), null));

    // The introduction may arrive before the confirmation of the registration.
    public void OnIntroduced(Endpoint peer) =>
        Tell(new MeetProgress(_progress?.ObservedEndPoint, _progress?.Mapping ?? NatPortAssignment.Unknown, Addresses.ToIPEndPoint(peer)));

    public void OnServerSilent() => lookup?.Begin(_name.Engine!, _name.Id);

    public bool OnPunched(PunchReport report, Task<UtpStream>? opened)
    {
        var result = new PunchResult(report, opened);
        if (_told.IsCompleted)
        {
            _result.TrySetResult(result);
        }
        else
        {
            _ = _told.ContinueWith(_ => _result.TrySetResult(result), TaskScheduler.Default);
        }

        return false;
    }

    public void OnLost(Failure failure)
    {
        _result.TrySetException(failure.ToException());
        _ = _result.Task.Exception;
    }

    // Callbacks of users do not run on the engine's thread, and are called in order.
    private void Tell(MeetProgress progress)
    {
        _progress = progress;
        if (onNews is not null)
        {
            _told = _told.ContinueWith(_ => onNews(progress), TaskScheduler.Default);
        }
    }
}
