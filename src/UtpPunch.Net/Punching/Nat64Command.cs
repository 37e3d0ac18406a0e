using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The network's NAT64 has these prefixes.</summary>
internal sealed class Nat64Command(Nat64Prefix[] prefixes) : ICommand
{
    public void Collect(Engine engine, List<Event> events)
    {
        engine.Nat64 = prefixes;
        events.Add(Event.NewNat64(prefixes));
    }

    public void Abandon(Failure failure)
    {
    }
}
