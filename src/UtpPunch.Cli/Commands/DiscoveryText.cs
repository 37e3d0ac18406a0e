using System.Globalization;

namespace UtpPunch.Cli;

/// <summary>Describes in four lines what STUN servers report, in the terms of RFC 4787, and what it means for hole punching.</summary>
internal static class DiscoveryText
{
    /// <summary>The mapped address, the mapping, the filtering, and what follows.</summary>
    public static string Explain(UtpNatDiscovery seen)
    {
        var trip = seen.RoundTripTime is { } time ? string.Create(CultureInfo.InvariantCulture, $", round trip {time.TotalMilliseconds:F1} ms") : "";
        return $"""
            Mapped address: {seen.MappedEndPoint} (seen by {seen.Server}{trip}).
            Mapping: {Mapping(seen)}
            Filtering: {Filtering(seen)}
            Hole punching: {Meaning(seen)}
            """;
    }

    /// <summary>What to expect of a punch. docs/natlab.md has the pairs of NATs that connect; here one of the two is known.</summary>
    public static string Meaning(UtpNatDiscovery seen) => (KeepsItsPort(seen.Mapping), seen.Filtering) switch
    {
        (true, UtpNatBehavior.EndpointIndependent) =>
            "the best case; every peer gets through, and a peer that knows the address can dial it while the mapping lasts.",
        (true, UtpNatBehavior.AddressDependent) =>
            "very good; every peer gets through when both sides punch.",
        (true, UtpNatBehavior.AddressAndPortDependent) =>
            "good; only peers with address-dependent mapping and address- and port-dependent filtering need --birthday.",
        (true, _) =>
            "good; at worst, peers with address-dependent mapping need --birthday.",
        (false, UtpNatBehavior.EndpointIndependent) =>
            "good; the port cannot be predicted, but this side learns the peer's port, and the filter admits every source.",
        (false, _) when seen.Mapping != UtpNatBehavior.Unknown =>
            "hard, since the port cannot be predicted; it works with peers whose filter admits any port of this address and, if this NAT"
            + " allocates ports in sequence, with most others; else --birthday may help, unless the peer's NAT does the same.",
        _ => "unknown; a second server, or one with two addresses, tells more.",
    };

    private static bool KeepsItsPort(UtpNatBehavior mapping) => mapping is UtpNatBehavior.NoNat or UtpNatBehavior.EndpointIndependent;

    private static string Mapping(UtpNatDiscovery seen) => seen.Mapping switch
    {
        UtpNatBehavior.NoNat => "no NAT; the mapped address is the machine's own.",
        UtpNatBehavior.EndpointIndependent => "endpoint-independent; all peers see the same port.",
        UtpNatBehavior.AddressDependent => "address-dependent; each remote address sees another port.",
        // Here two servers with one address each were compared.
        UtpNatBehavior.AddressAndPortDependent when seen.Filtering == UtpNatBehavior.Unknown =>
            "address-dependent, or address- and port-dependent; the two servers see different ports.",
        UtpNatBehavior.AddressAndPortDependent => "address- and port-dependent; each remote address and port sees another port.",
        UtpNatBehavior.Unknown => "unknown; there was nothing to compare with.",
        _ => throw new InvalidOperationException($"Unknown mapping {seen.Mapping}."),
    };

    private static string Filtering(UtpNatDiscovery seen) => seen.Filtering switch
    {
        UtpNatBehavior.EndpointIndependent => "endpoint-independent; every source is admitted.",
        UtpNatBehavior.AddressDependent => "address-dependent; only addresses that were sent to are admitted, from any port.",
        UtpNatBehavior.AddressAndPortDependent => "address- and port-dependent; only addresses and ports that were sent to are admitted.",
        UtpNatBehavior.Unknown => "unknown; to test it takes a server with two addresses.",
        _ => throw new InvalidOperationException($"Unknown filtering {seen.Filtering}."),
    };
}
