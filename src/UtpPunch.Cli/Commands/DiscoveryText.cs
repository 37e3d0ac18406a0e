using System.Globalization;

namespace UtpPunch.Cli;

/// <summary>Says in words what STUN servers have seen, and what that means for punching.</summary>
internal static class DiscoveryText
{
    /// <summary>Four lines: the address, what it depends on, who gets in, what follows.</summary>
    public static string Explain(NatDiscovery seen)
    {
        var trip = seen.RoundTrip is { } time ? string.Create(CultureInfo.InvariantCulture, $", {time.TotalMilliseconds:F1} ms away") : "";
        return $"""
            Seen as {seen.MappedEndPoint} by {seen.Server}{trip}.
            {Mapping(seen)}
            {Filtering(seen)}
            {Meaning(seen)}
            """;
    }

    /// <summary>
    /// What to expect of a punch. Which pairs of NATs find to each other is measured (docs/natlab.md); here one of the two is known.
    /// </summary>
    public static string Meaning(NatDiscovery seen) => (KeepsItsPort(seen.Mapping), seen.Filtering) switch
    {
        (true, NatBehavior.EndpointIndependent) =>
            "For punching: the best there is. Every peer gets through, and whoever is told the address can dial it while it is in use.",
        (true, NatBehavior.AddressDependent) =>
            "For punching: as good as it gets behind a filter. Every peer gets through when both sides punch.",
        (true, NatBehavior.AddressAndPortDependent) =>
            "For punching: good. Only peers whose NATs take unforeseeable ports, and filter as strictly, need --birthday.",
        (true, _) =>
            "For punching: good. At worst, peers whose NATs take unforeseeable ports need --birthday.",
        (false, NatBehavior.EndpointIndependent) =>
            "For punching: good. Peers cannot be told the right port in advance, but theirs is found, and what they send comes in.",
        (false, _) when seen.Mapping != NatBehavior.Unknown =>
            "For punching: hard. Peers cannot be told the right port in advance. It works with who lets in any port of this address, and,"
            + " when this NAT counts its ports up, with most others; else with --birthday, unless their NATs do the same.",
        _ => "For punching: too little is known. A second server, or one with two addresses, tells more.",
    };

    private static bool KeepsItsPort(NatBehavior mapping) => mapping is NatBehavior.NoNat or NatBehavior.EndpointIndependent;

    private static string Mapping(NatDiscovery seen) => seen.Mapping switch
    {
        NatBehavior.NoNat => "There is no NAT on the way there: this is the machine's own address.",
        NatBehavior.EndpointIndependent => "A NAT keeps this port for everybody (endpoint-independent mapping).",
        NatBehavior.AddressDependent => "A NAT takes another port for each address that is written to (address-dependent mapping).",
        // Two servers of one address each have been compared then.
        NatBehavior.AddressAndPortDependent when seen.Filtering == NatBehavior.Unknown =>
            "A NAT takes another port for each server (address-dependent mapping, or address- and port-dependent).",
        NatBehavior.AddressAndPortDependent =>
            "A NAT takes another port for each port of each address that is written to (address- and port-dependent mapping).",
        NatBehavior.Unknown =>
            "Whether others see the same port is not known: nobody could compare.",
        _ => throw new InvalidOperationException($"Unknown dependence {seen.Mapping}."),
    };

    private static string Filtering(NatDiscovery seen) => seen.Filtering switch
    {
        NatBehavior.EndpointIndependent => "Anybody can send to it (endpoint-independent filtering).",
        NatBehavior.AddressDependent => "Only addresses that were written to get in, from any of their ports (address-dependent filtering).",
        NatBehavior.AddressAndPortDependent =>
            "Only those get in who were written to, at that very port (address- and port-dependent filtering).",
        NatBehavior.Unknown => "Who gets in is not known: that takes a server with two addresses.",
        _ => throw new InvalidOperationException($"Filters depend on nothing such as {seen.Filtering}."),
    };
}
