using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The caller that was to get the stream of a punched path has given up. The next stream of that peer is not its own.</summary>
internal sealed class AwaitNoMoreCommand(Endpoint remote, Task<UtpStream> opened) : ICommand
{
    public void Collect(Engine engine, List<Event> events) => engine.AwaitNoMore(remote, opened);

    public void Abandon(Failure failure)
    {
    }
}
