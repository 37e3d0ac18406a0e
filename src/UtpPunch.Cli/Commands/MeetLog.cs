namespace UtpPunch.Cli;

/// <summary>The progress of a meeting for `--verbose`, on standard error.</summary>
internal sealed class MeetLog : IProgress<UtpPunchProgress>
{
    public void Report(UtpPunchProgress value) => ErrorOutput.Write(
        value.PeerEndPoint is { } peer ? $"introduced to {peer}, punching"
        : value.ObservedEndPoint is { } observed ? $"registered as {observed}, waiting for a peer"
        : "registered, waiting for a peer");
}
