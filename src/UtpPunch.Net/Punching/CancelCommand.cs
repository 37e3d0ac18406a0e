using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Cancels a task. Its result is reported as usual.</summary>
internal sealed class CancelCommand(int taskId) : ICommand
{
    public void Collect(Engine engine, List<Event> events) => events.Add(Event.NewCancel(taskId));

    public void Abandon(Failure failure)
    {
    }
}
