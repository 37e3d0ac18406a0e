namespace UtpPunch;

/// <summary>What a stream that is dialled needs until it is open.</summary>
internal sealed class DialState(Dialling how)
{
    public Dialling How => how;

    /// <summary>The stream that the peer opens at the same time, and that may take the place of this one; null if the peer opens none.</summary>
    public TaskCompletionSource<UtpStream>? Counterpart { get; } =
        how.PrimingHops > 0 ? new(TaskCreationOptions.RunContinuationsAsynchronously) : null;
}
