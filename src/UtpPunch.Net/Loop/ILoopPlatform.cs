namespace UtpPunch;

/// <summary>The parties that park: one thread at a time may park as each of them.</summary>
internal enum LoopParty
{
    OwnThread,
    Caller,
}

/// <summary>
/// The platform of <see cref="LoopOwnership{TPlatform}"/>: its atomic word, and the means to park and unpark threads. Production uses
/// <see cref="SystemPlatform"/>; tests use one in which every call is a scheduling point.
/// </summary>
internal interface ILoopPlatform
{
    /// <summary>Which thread calls; not 0.</summary>
    int CurrentThread { get; }

    /// <summary>Until when the leader sleeps. Guarded by the loop lock.</summary>
    long SleepsUntil { get; set; }

    LoopState Read();

    /// <summary>A full fence. False when the word is no longer <paramref name="before"/>.</summary>
    bool TryReplace(LoopState before, LoopState after);

    /// <summary>Waits for a permit and takes it, for at most some milliseconds. There is at most one permit, and it may be a stale one, so the caller
    /// must look at the word again.</summary>
    void Park(LoopParty party, int milliseconds);

    /// <summary>Gives a permit.</summary>
    void Unpark(LoopParty party);

    /// <summary>Ends the leader's wait on the socket, the present one or the next.</summary>
    void WakeSocket();
}
