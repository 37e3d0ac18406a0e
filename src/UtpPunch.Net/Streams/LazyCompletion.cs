namespace UtpPunch;

/// <summary>
/// Something that happens once, or fails. It is one word; the task is made when somebody asks for it, which few do of each stream. All
/// members may be called from any thread.
/// </summary>
internal struct LazyCompletion
{
    private static readonly object s_reached = new();

    // Null as long as nothing has happened and nobody has asked; then whichever came first: what has happened, or the promise of it.
    private object? _state;

    /// <summary>Whether it has happened.</summary>
    public readonly bool IsReached =>
        ReferenceEquals(_state, s_reached) || _state is TaskCompletionSource { Task.IsCompletedSuccessfully: true };

    public Task Task
    {
        get
        {
            while (true)
            {
                var state = Volatile.Read(ref _state);
                if (ReferenceEquals(state, s_reached))
                {
                    return Task.CompletedTask;
                }

                if (state is not TaskCompletionSource promise)
                {
                    promise = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                    if (state is Failure failure)
                    {
                        Fail(promise, failure);
                    }

                    if (!ReferenceEquals(Interlocked.CompareExchange(ref _state, promise, state), state))
                    {
                        continue;
                    }
                }

                return promise.Task;
            }
        }
    }

    /// <summary>It has happened, unless it has failed before.</summary>
    public void Reach()
    {
        if (Interlocked.CompareExchange(ref _state, s_reached, null) is TaskCompletionSource promise && promise.TrySetResult())
        {
            Volatile.Write(ref _state, s_reached); // Who asks later need not have that very task.
        }
    }

    /// <summary>It will never happen, unless it has before.</summary>
    public void Fail(Failure failure)
    {
        if (Interlocked.CompareExchange(ref _state, failure, null) is TaskCompletionSource promise)
        {
            Fail(promise, failure);
        }
    }

    // Nobody need look at the task: looking here keeps the runtime from reporting an unobserved exception.
    private static void Fail(TaskCompletionSource promise, Failure failure)
    {
        if (promise.TrySetException(failure.ToException()))
        {
            _ = promise.Task.Exception;
        }
    }
}
