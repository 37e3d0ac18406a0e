using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Something that a user wants and the engine has not seen yet.</summary>
internal interface ICommand
{
    /// <summary>Says it in the words of the core. On the engine's thread.</summary>
    void Collect(Engine engine, List<Event> events);

    /// <summary>The engine has stopped and will never get to it. On any thread.</summary>
    void Abandon(Failure failure);
}
