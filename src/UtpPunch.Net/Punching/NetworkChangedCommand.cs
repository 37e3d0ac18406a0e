using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>This machine has other addresses.</summary>
internal sealed class NetworkChangedCommand(Endpoint[] hosts) : ICommand
{
    public void Collect(Engine engine, List<Event> events) => events.Add(Event.NewNetworkChanged(hosts));

    public void Abandon(Failure failure)
    {
    }
}
