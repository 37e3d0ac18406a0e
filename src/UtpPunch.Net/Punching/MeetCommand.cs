using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Starts a meeting, or a punch by the npm package's protocol, and completes with its result.</summary>
internal sealed class MeetCommand(Func<int, Event> begin, bool isLegacy, IProgress<UtpPunchProgress>? progress = null, ServerLookup? lookup = null)
    : ICommand, INodeTask
{
    private readonly TaskCompletionSource<UtpPunchResult> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskName _name = new();
    private UtpPunchProgress? _last;
    private Task _told = Task.CompletedTask;

    public Task<UtpPunchResult> Result => _result.Task;

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

    /// <summary>Cancels it. The result is <see cref="UtpPunchStage.Cancelled"/>.</summary>
    public void Cancel(Engine engine) => _name.Cancel(engine);

    public void Abandon(Failure failure) => OnLost(failure);

    public void OnRegistered(Endpoint observed, PortPrediction mapping) =>
        Tell(new UtpPunchProgress(Addresses.ToIPEndPoint(observed), UtpPunchResult.ToPublic(mapping), null));

    // The introduction may arrive before the confirmation of the registration.
    public void OnIntroduced(Endpoint peer) =>
        Tell(new UtpPunchProgress(_last?.ObservedEndPoint, _last?.PortAssignment ?? UtpNatPortAssignment.Unknown, Addresses.ToIPEndPoint(peer)));

    public void OnServerSilent() => lookup?.Begin(_name.Engine!, _name.Id);

    public bool OnPunched(PunchReport report, Task<UtpStream>? opened)
    {
        var result = UtpPunchedPath.ResultOf(_name.Engine!.Owner, report, opened, isLegacy);
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
    private void Tell(UtpPunchProgress news)
    {
        _last = news;
        if (progress is not null)
        {
            _told = _told.ContinueWith(_ => Report(news), TaskScheduler.Default);
        }
    }

    private void Report(UtpPunchProgress news)
    {
        try
        {
            progress!.Report(news);
        }
        catch (Exception error)
        {
            // As documented: it is the application's, and the punch goes on.
            _name.Engine!.Telemetry.OnProgressFailed(error);
        }
    }
}
