using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>A request of the application that no step has gathered yet.</summary>
internal interface ICommand
{
    /// <summary>Adds its events for the core. Under the loop lock.</summary>
    void Collect(Engine engine, List<Event> events);

    /// <summary>The node has ended and will not execute it. On any thread.</summary>
    void Abandon(Failure failure);
}
