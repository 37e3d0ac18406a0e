using System.Net;

namespace UtpPunch.NatLab.Network;

/// <summary>
/// One of the ten kinds of NAT: its nftables rules and its expected behaviour, in the terms of RFC 4787: EIM, ADM, APDM and EIF, ADF, APDF are
/// endpoint-independent, address-dependent, and address- and port-dependent mapping and filtering. `Heard` are S1:a, S1:b and S2 if only
/// S1:a was contacted; `IsPinned`: the port towards S2 stays the same after an unsolicited packet from S2.
/// </summary>
internal sealed record NatType(
    string Name, Mapping Mapping, string Heard, bool IsPinned, string Translation, string Redirection, string Input)
{
    private const string Drop = "iifname wan meta l4proto udp drop";
    private const string ToOwnerOfPort = "iifname wan meta l4proto udp dnat to udp dport map @owners";
    private const string ToContactingOwner = "iifname wan meta l4proto udp udp dport . ip saddr @contacted dnat to udp dport map @owners";
    private const string AnyPort = "masquerade fully-random";

    // A map, since nft writes a number that it computes in the byte order of the machine: some ports would be below 1024, which no host names as its own.
    private static readonly string s_byHost = $"snat to WAN:jhash ip saddr . udp sport mod 2048 {Ports(2048, 23)}";
    private static readonly string s_byHostAndTarget = $"snat to WAN:jhash ip saddr . udp sport . ip daddr mod 2048 {Ports(2048, 23)}";
    private static readonly string s_inTurn = $"snat to WAN:numgen inc mod 64 {Ports(64, 1)}";

    /// <summary>All of them; a number is an index.</summary>
    public static IReadOnlyList<NatType> All { get; } =
    [
        new("Home EIM/APDF", Mapping.Independent, "T F F", true, "masquerade", "", Drop),
        new("HomeClash EIM/APDF", Mapping.Independent, "T F F", false, "masquerade", "", ""),
        new("FullCone EIM/EIF", Mapping.Independent, "T T T", true, "masquerade", ToOwnerOfPort, Drop),
        new("AddrRestricted EIM/ADF", Mapping.Independent, "T T F", true, "masquerade", ToContactingOwner, Drop),
        new("EIM, other port/APDF", Mapping.Independent, "T F F", true, s_byHost, "", Drop),
        new("ADM/APDF", Mapping.ByAddress, "T F F", false, s_byHostAndTarget, "", Drop),
        new("SymSequential APDM/APDF", Mapping.Sequential, "T F F", false, s_inTurn, "", Drop),
        new("SymRandom APDM/APDF", Mapping.Random, "T F F", false, AnyPort, "", Drop),
        new("APDM/EIF", Mapping.Random, "T T T", true, AnyPort, ToOwnerOfPort, Drop),
        new("APDM/ADF", Mapping.Random, "T T F", false, AnyPort, ToContactingOwner, Drop),
    ];

    /// <summary>The rules, as `nft -f` reads them.</summary>
    public string Rules(IPAddress wan) =>
        $$"""
        table ip n {
          map owners {
            type inet_service : ipv4_addr . inet_service
            flags dynamic,timeout
            timeout 120s
          }
          set contacted {
            type inet_service . ipv4_addr
            flags dynamic,timeout
            timeout 120s
          }
          chain c_pre {
            type nat hook prerouting priority dstnat
            {{Redirection}}
          }
          chain c_post {
            type nat hook postrouting priority srcnat
            oifname wan meta l4proto udp {{Translation.Replace("WAN", wan.ToString(), StringComparison.Ordinal)}}
          }
          # After srcnat, so that it sees the final port, and every packet: hooks of type nat see only the first of a flow.
          chain learn {
            type filter hook postrouting priority 150
            oifname wan meta l4proto udp ct direction original update @owners { ct reply proto-dst : ct original ip saddr . ct original proto-src }
            oifname wan meta l4proto udp ct direction original update @contacted { ct reply proto-dst . ct original ip daddr }
          }
          chain c_in {
            type filter hook input priority 0
            {{Input}}
          }
        }

        """;

    /// <summary>A port for each number. Far apart, those of a hash do not look as if they were taken in turn.</summary>
    private static string Ports(int count, int step) =>
        $"map {{ {string.Join(", ", Enumerable.Range(0, count).Select(i => $"{i} : {(step == 1 ? 40000 : 10000) + (step * i)}"))} }}";
}

/// <summary>How external ports are allocated.</summary>
internal enum Mapping
{
    /// <summary>The same for every destination.</summary>
    Independent,

    /// <summary>One for each address.</summary>
    ByAddress,

    /// <summary>One for each destination, counting up.</summary>
    Sequential,

    /// <summary>One for each destination, random.</summary>
    Random,
}
