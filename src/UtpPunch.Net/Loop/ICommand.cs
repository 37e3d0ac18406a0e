using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Something that a user wants and that no step has gathered yet.</summary>
internal interface ICommand
{
    /// <summary>Adds the events that say it to the core. Under the loop lock.</summary>
    void Collect(Engine engine, List<Event> events);

    /// <summary>The node has ended and will not step it. On any thread.</summary>
    void Abandon(Failure failure);
}
