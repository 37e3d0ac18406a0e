using System.Runtime.CompilerServices;
using UtpPunch.Protocol;

namespace UtpPunch;

// Meetings and punches: who asked for them, and the streams that peers open over the paths that they found.
internal sealed partial class Engine
{
    // Paths over which nobody opened a stream; the oldest are forgotten.
    private const int MaxAwaited = 64;

    private readonly Dictionary<int, ITask> _tasks = [];
    private readonly Dictionary<Endpoint, TaskCompletionSource<UtpStream>> _awaited = [];
    private int _nextTaskId = 1;

    /// <summary>Something that a user waits for and that is no stream. On the engine's thread.</summary>
    internal interface ITask
    {
        /// <summary>Whether streams are opened by whoever likes to, as the npm package has it.</summary>
        bool IsLegacy { get; }

        void OnRegistered(Endpoint observed, PortPrediction mapping);

        void OnIntroduced(Endpoint peer);

        /// <summary>False when this was the last that it wants to hear.</summary>
        bool OnPunched(PunchReport report, Task<UtpStream>? opened);

        void OnLost(Failure failure);

        /// <summary>What STUN servers said; the last that it hears.</summary>
        void OnDiscovered(StunOutcome outcome)
        {
        }
    }

    /// <summary>A name for a task. On the engine's thread.</summary>
    public int Enlist(ITask task)
    {
        _tasks.Add(_nextTaskId, task);
        return _nextTaskId++;
    }

    private void PerformOfTask(Effect effect)
    {
        switch (effect)
        {
            case Effect.OpenSockets open:
                _transport.OpenSockets(open.first, open.count);
                break;
            case Effect.CloseSockets close:
                _transport.CloseSockets(close.first, close.count, close.keep);
                break;
            case Effect.Registered registered:
                _tasks.GetValueOrDefault(registered.taskId)?.OnRegistered(registered.observed, registered.mapping);
                break;
            case Effect.Introduced introduced:
                _tasks.GetValueOrDefault(introduced.taskId)?.OnIntroduced(introduced.peer);
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

    private void OnPunched(int taskId, PunchReport report)
    {
        if (!_tasks.TryGetValue(taskId, out var task))
        {
            return;
        }

        // From now on: the peer may be faster than whoever learns of the path here.
        Task<UtpStream>? opened = null;
        if (report.Stage.IsOpen && !report.Dials && !task.IsLegacy)
        {
            if (_awaited.Count >= MaxAwaited)
            {
                var oldest = _awaited.First();
                _awaited.Remove(oldest.Key);
                oldest.Value.TrySetCanceled();
            }

            var promise = new TaskCompletionSource<UtpStream>(TaskCreationOptions.RunContinuationsAsynchronously);
            _awaited[report.Remote] = promise;
            opened = promise.Task;
        }

        if (!task.OnPunched(report, opened))
        {
            _tasks.Remove(taskId);
        }
    }

    // The engine has stopped.
    private void AbandonTasks(Failure failure)
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
    }
}
