namespace UtpPunch;

/// <summary>The name of a task in the core: it gets one when the node collects its command, unless it was cancelled before.</summary>
internal sealed class TaskName
{
    private readonly Lock _gate = new();
    private bool _isCancelled;

    /// <summary>0 before the task has begun.</summary>
    public int Id { get; private set; }

    /// <summary>The node of a task that has begun.</summary>
    public Engine? Engine { get; private set; }

    public bool IsCancelled => _isCancelled;

    /// <summary>Names the task; false if it does not begin. A node that closes tells it so. Under the loop lock.</summary>
    public bool TryBegin(Engine engine, INodeTask task)
    {
        lock (_gate)
        {
            if (_isCancelled)
            {
                return false;
            }

            if (engine.IsClosing)
            {
                task.OnLost(Failure.NodeClosed());
                return false;
            }

            Engine = engine;
            Id = engine.Enlist(task);
            return true;
        }
    }

    /// <summary>Cancels the task, at any time.</summary>
    /// <param name="engine">The node.</param>
    /// <param name="isForgotten">Whether the core says nothing more of a cancelled task.</param>
    public void Cancel(Engine engine, bool isForgotten = false)
    {
        lock (_gate)
        {
            _isCancelled = true;
            if (Id != 0)
            {
                engine.Post(new CancelCommand(Id, isForgotten));
            }
        }
    }
}
