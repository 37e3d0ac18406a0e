using System.Net;

namespace UtpPunch.NatLab.Network;

/// <summary>
/// Two hosts, each in its LAN behind a NAT of its own: four namespaces. They are new, so that no NAT has state.
/// </summary>
internal sealed class Lab : IDisposable
{
    private readonly List<IDisposable> _parts = [];

    /// <param name="world">The internet.</param>
    /// <param name="typeA">The NAT of A.</param>
    /// <param name="typeB">The NAT of B.</param>
    /// <param name="mapsA">Whether A's NAT maps ports for it.</param>
    public Lab(World world, int typeA, int typeB, bool mapsA = false)
    {
        var number = world.NextLab();
        try
        {
            var outside = mapsA ? new IPAddress([192, 0, (byte)(3 + (number >> 8)), (byte)number]) : new IPAddress([198, 18, (byte)(number >> 8), (byte)number]);
            A = Behind(world.Internet, typeA, 1, outside, mapsA);
            B = Behind(world.Internet, typeB, 2, new IPAddress([198, 19, (byte)(number >> 8), (byte)number]));
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

    private Namespace Behind(Internet internet, int type, int lan, IPAddress wan, bool maps = false)
    {
        var nat = Keep(new Namespace($"nat {type}"));
        var host = Keep(new Namespace($"host behind {type}"));
        Keep(internet.Attach(nat, wan));
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
        if (maps)
        {
            Keep(new MappingDaemon(nat, lan));
        }

        return host;
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

    public World() => Internet.Attach(Servers, First.Address, Second.Address);

    /// <summary>S1:a, the address of the rendezvous.</summary>
    public static IPEndPoint First { get; } = new(IPAddress.Parse("198.51.100.1"), PortA);

    /// <summary>S1:b.</summary>
    public static IPEndPoint FirstOther { get; } = new(First.Address, PortB);

    /// <summary>S2:a.</summary>
    public static IPEndPoint Second { get; } = new(IPAddress.Parse("203.0.113.1"), PortA);

    public Internet Internet { get; } = new();

    public Namespace Servers { get; } = new("servers");

    public int NextLab() => Interlocked.Increment(ref _labs);

    public void Dispose()
    {
        Internet.Dispose();
        Servers.Dispose();
    }
}
