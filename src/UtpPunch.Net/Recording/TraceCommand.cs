using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Copies the recording. After the engine has stopped nothing is recorded any more, and any thread may copy it.</summary>
internal sealed class TraceCommand(Recorder recorder) : ICommand
{
    private readonly TaskCompletionSource<Recorder.Segment[]> _copied = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<Recorder.Segment[]> Copied => _copied.Task;

    public void Collect(Engine engine, List<Event> events) => _copied.SetResult(recorder.Copy());

    public void Abandon(Failure failure) => _copied.SetResult(recorder.Copy());
}
