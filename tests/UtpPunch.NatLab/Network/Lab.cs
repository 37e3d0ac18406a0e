using System.Net;

namespace UtpPunch.NatLab.Network;

/// <summary>
/// Two hosts, each in its LAN behind a NAT of its own: four namespaces. They are new, so that no NAT has state. With IPv6 each LAN has a prefix, and
/// its router admits only answers (RFC 6092).
/// </summary>
internal sealed class Lab : IDisposable
{
    /// <summary>The address of B in its LAN.</summary>
    public const string AddressOfB = "192.168.2.2";

    private const string Firewall = """
        table ip6 f {
          chain forward {
            type filter hook forward priority 0
            iifname wan ct state new drop
          }
        }

        """;

    private readonly List<IDisposable> _parts = [];
    private readonly int? _carrier;

    /// <param name="world">The internet.</param>
    /// <param name="typeA">The NAT of A.</param>
    /// <param name="typeB">The NAT of B.</param>
    /// <param name="mapsA">Whether A's NAT maps ports for it.</param>
    /// <param name="hasIPv6">Whether the hosts have IPv6 as well.</param>
    /// <param name="carrier">The type of the NAT that a carrier has behind each home, if any.</param>
    /// <param name="hasNat64">Whether A has IPv6 only, and its NAT is a NAT64.</param>
    public Lab(World world, int typeA, int typeB, bool mapsA = false, bool hasIPv6 = false, int? carrier = null, bool hasNat64 = false)
    {
        var number = world.NextLab();
        try
        {
            var outside = mapsA ? new IPAddress([192, 0, (byte)(3 + (number >> 8)), (byte)number]) : new IPAddress([198, 18, (byte)(number >> 8), (byte)number]);
            _carrier = carrier;
            A = hasNat64
                ? BehindNat64(world.Internet, typeA, outside, $"2001:db8:{number:x}:1")
                : Behind(world.Internet, typeA, 1, outside, hasIPv6 ? $"2001:db8:{number:x}:1" : null, mapsA);
            B = Behind(
                world.Internet, typeB, 2, new IPAddress([198, 19, (byte)(number >> 8), (byte)number]), hasIPv6 ? $"2001:db8:{number:x}:2" : null);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public Namespace A { get; }

    public Namespace B { get; }

    public void Dispose()
    {
        for (var i = _parts.Count - 1; i >= 0; i--)
        {
            _parts[i].Dispose();
        }
    }

    private Namespace Behind(Internet internet, int type, int lan, IPAddress wan, string? prefix, bool maps = false)
    {
        var nat = Keep(new Namespace($"nat {type}", hasIPv6: prefix is not null));
        var host = Keep(new Namespace($"host behind {type}", hasIPv6: prefix is not null));
        if (_carrier is { } outer)
        {
            wan = BehindCarrier(internet, nat, outer, lan, wan);
        }
        else
        {
            Keep(prefix is null ? internet.Attach(nat, wan) : internet.Attach(nat, wan, IPAddress.Parse($"{prefix}::ffff")));
        }

        nat.Run(() => File.WriteAllText("/proc/sys/net/ipv4/ip_forward", "1"));
        nat.Ip($"""
            link add lan type veth peer name eth0 netns {host.Path}
            addr add 192.168.{lan}.1/24 dev lan
            link set lan up

            """);
        host.Ip($"""
            link set lo up
            addr add 192.168.{lan}.2/24 dev eth0
            link set eth0 up
            route add default via 192.168.{lan}.1

            """);
        nat.Order("nft", ["-f", "-"], NatType.All[type].Rules(wan));
        if (prefix is not null)
        {
            AddIPv6(nat, host, prefix);
        }

        if (maps)
        {
            Keep(new MappingDaemon(nat, lan));
        }

        return host;
    }

    private Namespace BehindNat64(Internet internet, int type, IPAddress wan, string prefix)
    {
        var router = Keep(new Namespace($"nat64 {type}", hasIPv6: true));
        var host = Keep(new Namespace($"host behind nat64 {type}", hasIPv6: true));
        Keep(internet.Attach(router, wan));
        router.Run(() => File.WriteAllText("/proc/sys/net/ipv4/ip_forward", "1"));
        router.Ip($"""
            link add lan type veth peer name eth0 netns {host.Path}
            link set lan up

            """);
        host.Ip("""
            link set lo up
            link set eth0 up

            """);
        router.Order("nft", ["-f", "-"], NatType.All[type].Rules(wan));
        AddIPv6(router, host, prefix);
        host.ResolverFile = Keep(new Nat64(router, prefix)).ResolverFile;
        return host;
    }

    /// <summary>Puts a home's NAT behind that of a carrier; its address there (RFC 6598).</summary>
    private IPAddress BehindCarrier(Internet internet, Namespace nat, int type, int number, IPAddress wan)
    {
        var carrier = Keep(new Namespace($"carrier {type}"));
        Keep(internet.Attach(carrier, wan));
        carrier.Run(() => File.WriteAllText("/proc/sys/net/ipv4/ip_forward", "1"));
        carrier.Ip($"""
            link add homes type veth peer name wan netns {nat.Path}
            addr add 100.64.{number}.1/24 dev homes
            link set homes up

            """);
        nat.Ip($"""
            link set lo up
            addr add 100.64.{number}.2/24 dev wan
            link set wan up
            route add default via 100.64.{number}.1

            """);
        carrier.Order("nft", ["-f", "-"], NatType.All[type].Rules(wan));
        return new IPAddress([100, 64, (byte)number, 2]);
    }

    private static void AddIPv6(Namespace router, Namespace host, string prefix)
    {
        router.Run(() => File.WriteAllText("/proc/sys/net/ipv6/conf/all/forwarding", "1"));
        router.Order("nft", ["-f", "-"], Firewall);
        router.Ip($"""
            addr add fe80::1/64 dev lan nodad
            addr add {prefix}::1/64 dev lan nodad

            """);
        host.Ip($"""
            addr add {prefix}::2/64 dev eth0 nodad
            route add ::/0 via fe80::1 dev eth0

            """);
    }

    private T Keep<T>(T part) where T : IDisposable
    {
        _parts.Add(part);
        return part;
    }
}

/// <summary>Shared by all labs: the internet, and a namespace with the addresses of two servers.</summary>
internal sealed class World : IDisposable
{
    public const int PortA = 3478;
    public const int PortB = 3479;

    private int _labs;

    public World() => Internet.Attach(Servers, First.Address, Second.Address, FirstIPv6.Address);

    /// <summary>S1:a, the address of the rendezvous.</summary>
    public static IPEndPoint First { get; } = new(IPAddress.Parse("198.51.100.1"), PortA);

    /// <summary>S1:b.</summary>
    public static IPEndPoint FirstOther { get; } = new(First.Address, PortB);

    /// <summary>S2:a.</summary>
    public static IPEndPoint Second { get; } = new(IPAddress.Parse("203.0.113.1"), PortA);

    /// <summary>The address of a server that has IPv6 only.</summary>
    public static IPEndPoint FirstIPv6 { get; } = new(IPAddress.Parse("2001:db8:ffff::1"), PortA);

    /// <summary>Its other port.</summary>
    public static IPEndPoint FirstIPv6Other { get; } = new(FirstIPv6.Address, PortB);

    public Internet Internet { get; } = new();

    public Namespace Servers { get; } = new("servers", hasIPv6: true);

    public int NextLab() => Interlocked.Increment(ref _labs);

    public void Dispose()
    {
        Internet.Dispose();
        Servers.Dispose();
    }
}
