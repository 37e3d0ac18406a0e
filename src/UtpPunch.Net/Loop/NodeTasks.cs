using System.Runtime.CompilerServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Meetings, punches and discoveries, and the streams that peers are to open over the paths that they found. Under the loop lock.</summary>
internal sealed class NodeTasks(IDatagramTransport transport, NodeTelemetry telemetry)
{
    // Paths over which no stream was opened; the oldest are forgotten.
    private const int MaxAwaited = 4096;

    private readonly Dictionary<int, INodeTask> _tasks = [];
    private readonly Dictionary<Endpoint, TaskCompletionSource<UtpStream>> _awaited = [];

    // Those that are awaited, the oldest first; also some that are not any more.
    private readonly Queue<(Endpoint Remote, TaskCompletionSource<UtpStream> Promise)> _inOrder = [];
    private int _nextTaskId = 1;

    /// <summary>Adds a task, and names it.</summary>
    public int Add(INodeTask task)
    {
        _tasks.Add(_nextTaskId, task);
        return _nextTaskId++;
    }

    public void Remove(int taskId) => _tasks.Remove(taskId);

    /// <summary>A peer has opened a stream; true when a task awaits it.</summary>
    public bool TryTake(Endpoint remote, UtpStream stream)
    {
        if (!_awaited.Remove(remote, out var path))
        {
            return false;
        }

        stream.OnTaken();
        path.SetResult(stream);
        return true;
    }

    public void Perform(Effect effect)
    {
        switch (effect)
        {
            case Effect.OpenSockets open:
                transport.OpenSockets(open.first, open.count);
                break;
            case Effect.CloseSockets close:
                transport.CloseSockets(close.first, close.count, close.keep);
                break;
            case Effect.Registered registered:
                _tasks.GetValueOrDefault(registered.taskId)?.OnRegistered(registered.observed, registered.mapping);
                break;
            case Effect.Introduced introduced:
                _tasks.GetValueOrDefault(introduced.taskId)?.OnIntroduced(introduced.peer);
                break;
            case Effect.ServerSilent silent:
                _tasks.GetValueOrDefault(silent.taskId)?.OnServerSilent();
                break;
            case Effect.Punched punched:
                OnPunched(punched.taskId, punched.report);
                break;
            case Effect.Discovered discovered:
                if (_tasks.Remove(discovered.taskId, out var task))
                {
                    task.OnDiscovered(discovered.outcome);
                }

                break;
            default:
                throw new SwitchExpressionException(effect);
        }
    }

    /// <summary>The node has ended.</summary>
    public void Abandon(Failure failure)
    {
        foreach (var task in _tasks.Values)
        {
            task.OnLost(failure);
        }

        foreach (var promise in _awaited.Values)
        {
            promise.TrySetException(failure.ToException());
            _ = promise.Task.Exception;
        }

        _tasks.Clear();
        _awaited.Clear();
        _inOrder.Clear();
    }

    private void OnPunched(int taskId, PunchReport report)
    {
        telemetry.OnPunched(report);
        if (_tasks.TryGetValue(taskId, out var task))
        {
            // Expected from now on: the peer may open a stream before the application learns of the path.
            var opened = report.Stage.IsOpen && !report.Dials && !task.IsLegacy ? Expect(report.Remote) : null;
            if (!task.OnPunched(report, opened))
            {
                _tasks.Remove(taskId);
            }
        }
    }

    /// <summary>A peer is about to open a stream.</summary>
    public void Await(Endpoint remote, TaskCompletionSource<UtpStream> promise)
    {
        while (_inOrder.Count >= MaxAwaited)
        {
            var oldest = _inOrder.Dequeue();
            if (_awaited.GetValueOrDefault(oldest.Remote) == oldest.Promise)
            {
                _awaited.Remove(oldest.Remote);
                oldest.Promise.TrySetCanceled();
            }
        }

        _awaited[remote] = promise;
        _inOrder.Enqueue((remote, promise));
    }

    /// <summary>The peer need not open a stream any more.</summary>
    public void AwaitNoMore(Endpoint remote, TaskCompletionSource<UtpStream> promise)
    {
        if (_awaited.GetValueOrDefault(remote) == promise)
        {
            _awaited.Remove(remote);
        }
    }

    /// <summary>The caller that was to get the peer's stream waits no more. A stream that has just come is reset: it has no owner.</summary>
    public void AwaitNoMore(Endpoint remote, Task<UtpStream> opened)
    {
        if (_awaited.GetValueOrDefault(remote)?.Task == opened)
        {
            _awaited.Remove(remote);
        }
        else if (opened.IsCompletedSuccessfully)
        {
            opened.Result.Abort();
        }
    }

    private Task<UtpStream> Expect(Endpoint remote)
    {
        var promise = new TaskCompletionSource<UtpStream>(TaskCreationOptions.RunContinuationsAsynchronously);
        Await(remote, promise);
        return promise.Task;
    }
}
