using System.Net;
using UtpPunch.Attacks.Wire;
using UtpPunch.NatLab.Network;

namespace UtpPunch.Attacks.Network;

/// <summary>
/// The network of one attack: namespaces around a router, which are new, so that no attack sees what another one left. The addresses are
/// global ones, since punches do not probe others. No router checks sources.
/// </summary>
internal sealed class Field : IDisposable
{
    public const string AttackerIp = "198.51.100.2";
    public const string VictimIp = "203.0.113.2";
    public const string HonestIp = "192.0.2.2";
    public const string OtherIp = "192.88.99.2";

    /// <summary>The network of the third party: 2^17 addresses, for which packets are counted and dropped.</summary>
    public const string ThirdIp = "198.18.0.2";

    /// <summary>The first of 2^16 further addresses at which the attacker receives.</summary>
    public const string OwnIp = "198.20.0.1";

    private readonly List<IDisposable> _parts = [];
    private readonly Namespace _router;
    private readonly Namespace _victim;
    private readonly Namespace _honest;
    private readonly Namespace _other;
    private readonly Namespace _third;
    private readonly string _program;

    /// <param name="program">The assembly that hosts run.</param>
    /// <param name="delayMs">The delay of the honest host's path, each way.</param>
    /// <param name="loss">The share of packets that it drops.</param>
    /// <param name="mtu">The MTU of all links.</param>
    public Field(string program, int delayMs = 0, double loss = 0, int mtu = 1500)
    {
        _program = program;
        try
        {
            _router = Place("router");
            _router.Run(() => File.WriteAllText("/proc/sys/net/ipv4/ip_forward", "1"));
            Attacker = Attach("attacker", "to-attacker", AttackerIp, mtu);
            _victim = Attach("victim", "to-victim", VictimIp, mtu);
            _other = Attach("other", "to-other", OtherIp, mtu);
            _third = Attach("third", "to-third", "192.31.196.2", mtu);
            _honest = delayMs > 0 || loss > 0 ? AttachSlow(delayMs, loss) : Attach("honest", "to-honest", HonestIp, mtu);
            Attacker.Ip("route add local 198.20.0.0/16 dev lo\n");
            _router.Ip("route add 198.20.0.0/16 via 198.51.100.2\nroute add 198.18.0.0/15 via 192.31.196.2\n");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public Namespace Attacker { get; }

    public void Dispose()
    {
        for (var i = _parts.Count - 1; i >= 0; i--)
        {
            _parts[i].Dispose();
        }
    }

    /// <summary>Starts a process of the library, which ends with this object.</summary>
    public Hosts.Host Victim(int? cores = null) => Keep(new Hosts.Host(_victim, VictimIp, _program, cores));

    public Hosts.Host Honest() => Keep(new Hosts.Host(_honest, HonestIp, _program, null));

    public Hosts.Host Other() => Keep(new Hosts.Host(_other, OtherIp, _program, null));

    /// <summary>A process of the attacker's, which uses the library.</summary>
    public Hosts.Host AttackerHost() => Keep(new Hosts.Host(Attacker, AttackerIp, _program, null));

    public RawSender NewSender(int largest = 256) =>
        new(Attacker.Run(() => Kernel.Open(Kernel.Internet, Kernel.Raw, Kernel.RawProtocol)), largest);

    /// <summary>Reads the UDP packets to all addresses of the attacker.</summary>
    public PacketReader ReadAttacker(Take take) =>
        new(Attacker.Run(() => Kernel.Open(Kernel.Internet, Kernel.Raw, Kernel.Udp)), take);

    /// <summary>Reads the UDP packets that pass through the router, as an attacker on the path can.</summary>
    public PacketReader ReadRouter(Take take) =>
        new(_router.Run(() => Kernel.Open(Kernel.Packets, Kernel.Datagrams, Kernel.Ipv4Frames)), take);

    /// <summary>Bytes that have arrived at the third party, with IP headers.</summary>
    public long DrawnToThird() => Received(_third);

    /// <summary>Bytes that have arrived at the victim, and that it has sent, with IP headers.</summary>
    public long ReceivedByVictim() => Received(_victim);

    /// <summary>Bytes that the attacker has sent, with IP headers.</summary>
    public long SentByAttacker() => Counter(Attacker, received: false);

    /// <summary>Makes the attacker's host unable to reach an address, while what it names remains reachable for others.</summary>
    public void CutAttackerFrom(string ip) => Attacker.Ip($"route add blackhole {ip}/32\n");

    private Namespace AttachSlow(int delayMs, double loss)
    {
        var place = Place("honest");
        var near = place.Run(() => Libc.OpenTun("eth0"));
        var far = _router.Run(() => Libc.OpenTun("to-honest"));
        place.Ip($"link set lo up\naddr add {HonestIp}/32 dev eth0\nlink set eth0 txqueuelen 4096 up\nroute add default dev eth0\n");
        _router.Ip($"link set to-honest txqueuelen 4096 up\nroute add {HonestIp}/32 dev to-honest\n");
        Keep(new SlowLink(near, far, delayMs, loss));
        return place;
    }

    private Namespace Attach(string name, string device, string ip, int mtu)
    {
        var place = Place(name);
        var router = ip[..ip.LastIndexOf('.')] + ".1";
        _router.Ip($"link add {device} type veth peer name eth0 netns {place.Path}\naddr add {router}/24 dev {device}\n"
            + $"link set {device} mtu {mtu} up\n");
        place.Ip($"link set lo up\naddr add {ip}/24 dev eth0\nlink set eth0 mtu {mtu} up\nroute add default via {router}\n");
        return place;
    }

    private Namespace Place(string name)
    {
        var place = Keep(new Namespace(name));
        place.Run(() =>
        {
            File.WriteAllText("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
            File.WriteAllText("/proc/sys/net/ipv4/conf/default/rp_filter", "0");
        });
        return place;
    }

    private static long Received(Namespace place) => Counter(place, received: true);

    private static long Counter(Namespace place, bool received) => place.Run(() =>
    {
        const int Ethernet = 14;
        var line = File.ReadLines("/proc/thread-self/net/dev").First(line => line.TrimStart().StartsWith("eth0:", StringComparison.Ordinal));
        var numbers = line.Split(':')[1].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(long.Parse).ToArray();
        return received ? numbers[0] - (Ethernet * numbers[1]) : numbers[8] - (Ethernet * numbers[9]);
    });

    private T Keep<T>(T part)
        where T : IDisposable
    {
        _parts.Add(part);
        return part;
    }
}
