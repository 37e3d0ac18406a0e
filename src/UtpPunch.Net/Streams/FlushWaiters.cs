namespace UtpPunch;

/// <summary>Calls that wait until the peer has acknowledged the bytes up to some position. Not thread-safe; the write side guards it.</summary>
internal sealed class FlushWaiters
{
    private readonly List<(long At, TaskCompletionSource Done)> _waiting = [];

    public Task Until(long position)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting.Add((position, done));
        return done.Task;
    }

    /// <summary>The peer has acknowledged the bytes up to a position. Returns whether no call waits any more.</summary>
    public bool Complete(long acknowledged)
    {
        for (var index = _waiting.Count - 1; index >= 0; index--)
        {
            if (_waiting[index].At <= acknowledged)
            {
                _waiting[index].Done.TrySetResult();
                _waiting.RemoveAt(index);
            }
        }

        return _waiting.Count == 0;
    }

    public void Fail(Exception error)
    {
        foreach (var (_, done) in _waiting)
        {
            done.TrySetException(error);
            _ = done.Task.Exception; // The exception need not be observed.
        }

        _waiting.Clear();
    }
}
