using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>A meeting, or a punch in the npm package's way, that somebody waits for.</summary>
internal sealed class MeetWork(Func<int, Event> begin, bool isLegacy, Action<IPEndPoint?>? onNews = null) : IWork, Engine.ITask
{
    private readonly TaskCompletionSource<PunchResult> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private int _taskId;
    private bool _cancelled;

    public Task<PunchResult> Result => _result.Task;

    public bool IsLegacy => isLegacy;

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
            events.Add(begin(_taskId));
        }
    }

    /// <summary>Calls it off; the result says so.</summary>
    public void Cancel(Engine engine)
    {
        lock (_gate)
        {
            _cancelled = true;
            if (_taskId != 0)
            {
                engine.Post(new CancelWork(_taskId));
            }
        }
    }

    public void Abandon(Failure failure) => OnLost(failure);

    // User code does not run on the engine's thread.
    public void OnRegistered(Endpoint observed, PortMapping mapping) => Tell(null);

    public void OnIntroduced(Endpoint peer) => Tell(Addresses.ToIPEndPoint(peer));

    public bool OnPunched(PunchReport report, Task<UtpStream>? opened)
    {
        _result.TrySetResult(new PunchResult(report, opened));
        return false;
    }

    public void OnLost(Failure failure)
    {
        _result.TrySetException(failure.ToException());
        _ = _result.Task.Exception;
    }

    private void Tell(IPEndPoint? peer)
    {
        if (onNews is not null)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static state => state.onNews(state.peer), (onNews, peer), preferLocal: false);
        }
    }

    private sealed class CancelWork(int taskId) : IWork
    {
        public void Collect(Engine engine, List<Event> events) => events.Add(Event.NewCancel(taskId));

        public void Abandon(Failure failure)
        {
        }
    }
}
