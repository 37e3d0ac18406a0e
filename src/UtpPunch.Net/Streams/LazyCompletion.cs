namespace UtpPunch;

/// <summary>
/// A completion that happens once, or fails. It is one word; its task is created on demand, since few tasks of a stream are used. All
/// members may be called from any thread.
/// </summary>
internal struct LazyCompletion
{
    private static readonly object s_reached = new();

    // Null until it has happened, or the task was asked for; then the outcome, or the source of the task.
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

    /// <summary>Completes, unless it has failed before.</summary>
    public void Reach()
    {
        if (Interlocked.CompareExchange(ref _state, s_reached, null) is TaskCompletionSource promise && promise.TrySetResult())
        {
            Volatile.Write(ref _state, s_reached); // Later calls need not get the same task.
        }
    }

    /// <summary>Fails, unless it has completed before.</summary>
    public void Fail(Failure failure)
    {
        if (Interlocked.CompareExchange(ref _state, failure, null) is TaskCompletionSource promise)
        {
            Fail(promise, failure);
        }
    }

    // The task need not be observed: reading the exception here keeps the runtime from reporting it.
    private static void Fail(TaskCompletionSource promise, Failure failure)
    {
        if (promise.TrySetException(failure.ToException()))
        {
            _ = promise.Task.Exception;
        }
    }
}
