namespace UtpPunch;

/// <summary>What the threads of a <see cref="NodeLoop{TPlatform, TWork}"/> do: wait, gather, step, perform. No member throws.</summary>
internal interface ILoopWork
{
    /// <summary>The time, as deadlines count it.</summary>
    long Now { get; }

    /// <summary>Prepares the leader's wait on the socket and returns when the node is due. Under the loop lock.</summary>
    long PrepareWait();

    /// <summary>Waits on the socket until a datagram has arrived, or the socket was woken. For the leader.</summary>
    /// <param name="microseconds">For how long at most; 0 polls without waiting.</param>
    /// <param name="isCaller">Whether a caller waits, which expects an answer soon.</param>
    void Wait(long microseconds, bool isCaller);

    /// <summary>Gathers what has happened, steps the node and performs the effects, unless the node is over. Under the loop lock.</summary>
    /// <param name="receives">Whether the calling thread is the leader, and has waited on the socket.</param>
    StepResult Step(bool receives);

    /// <summary>No further step is taken: all calls that wait for the node fail. Under the loop lock.</summary>
    void End();

    /// <summary>Fails the commands that were posted and will not be stepped.</summary>
    void AbandonCommands();
}

/// <summary>The result of a step.</summary>
/// <param name="Deadline">When the node is due next.</param>
/// <param name="HasMore">Whether there are events for the next step already.</param>
/// <param name="IsOver">Whether the node has closed or broken down.</param>
/// <param name="ExpectsCaller">Whether a caller was woken that will soon read the socket itself.</param>
internal readonly record struct StepResult(long Deadline, bool HasMore, bool IsOver, bool ExpectsCaller);

/// <summary>What a caller waits for.</summary>
internal interface IReadiness
{
    bool IsReady { get; }
}

/// <summary>A side of a stream in which a synchronous call waits.</summary>
internal interface ISyncSide : IReadiness
{
    /// <summary>The calling thread begins to wait; false when the side is ready.</summary>
    bool BeginWait();

    /// <summary>Blocks until <see cref="TryPulse"/>, unless the side is ready, or until a deadline.</summary>
    void Block(long until);

    void EndWait();

    /// <summary>Ends a <see cref="Block"/>; false when the waiting thread does not block. Under the side's lock.</summary>
    bool TryPulse();
}
