using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Cancels a task. Its result is reported as usual.</summary>
internal sealed class CancelCommand(int taskId, bool isForgotten = false) : ICommand
{
    public void Collect(Engine engine, List<Event> events)
    {
        events.Add(Event.NewCancel(taskId));
        if (isForgotten)
        {
            engine.Delist(taskId);
        }
    }

    public void Abandon(Failure failure)
    {
    }
}
