using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Sends a datagram of a mapper from the socket of the node. One that is not sent counts as lost.</summary>
/// <param name="own">The address that is to be its source: gateways map the address that they see.</param>
/// <param name="remote">The target.</param>
/// <param name="datagram">The payload.</param>
internal sealed class MapperCommand(IPAddress own, Endpoint remote, Owned datagram) : ICommand
{
    public void Collect(Engine engine, List<Event> events) =>
        engine.Transport.Send(engine.Transport.From(own, remote), datagram.Span);

    public void Abandon(Failure failure)
    {
    }
}
