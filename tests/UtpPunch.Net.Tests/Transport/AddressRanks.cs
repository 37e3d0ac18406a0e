using System.Net;

namespace UtpPunch.Tests;

/// <summary>Which of its addresses a node tells its peers.</summary>
public static class AddressRanks
{
    [Fact("the address of the default route comes first, then others with a router, others, and tunnels; bridges and overlays are left out")]
    public static void Order() => Expect(
        ["192.168.1.5", "2001:db8::5", "10.0.0.5", "10.1.0.5", "10.8.0.5"],
        Of("172.17.0.1", "docker0", isBridge: true),
        Of("172.18.0.1", "br-0123456789ab", isBridge: true),
        Of("10.8.0.5", "tun0", isTunnel: true),
        Of("10.1.0.5", "eth2"),
        Of("172.28.0.1", "zt7nnig34x"),
        Of("100.90.1.1", "wt0"),
        Of("10.0.0.5", "eth1", hasGateway: true),
        Of("169.254.7.7", "eth3"),
        Of("192.168.1.5", "eth0", isDefault: true, hasGateway: true),
        Of("2001:db8::5", "eth0", isDefault: true, hasGateway: true));

    [Fact("a bridge that leads to the router is as good as any interface")]
    public static void Bridge() => Expect(
        ["192.168.1.5"], Of("192.168.1.5", "br0", isDefault: true, hasGateway: true, isBridge: true), Of("172.17.0.1", "docker0", isBridge: true));

    [Fact("without any other address, those of bridges, and those that a machine takes by itself, are told")]
    public static void Alone()
    {
        Expect(["172.17.0.1"], Of("172.17.0.1", "docker0", isBridge: true));
        Expect(["169.254.7.7"], Of("169.254.7.7", "eth0"));
    }

    [Fact("two addresses of an IPv6 prefix are told, and more of other prefixes")]
    public static void Prefix() => Expect(
        ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"],
        Of("2001:db8::1", "eth0"),
        Of("2001:db8::2", "eth0"),
        Of("2001:db8::3", "eth0"),
        Of("2001:db8:0:1::1", "eth0"));

    private static void Expect(string[] addresses, params OwnAddress[] own) =>
        Check.Equal(string.Join(" ", addresses), string.Join(" ", OwnAddresses.ForPeers(own)));

    private static OwnAddress Of(
        string address, string name, bool isDefault = false, bool hasGateway = false, bool isTunnel = false, bool isBridge = false) =>
        new(IPAddress.Parse(address), name, isDefault, hasGateway, IsPhysical: name.StartsWith("eth", StringComparison.Ordinal), isTunnel, isBridge);
}
