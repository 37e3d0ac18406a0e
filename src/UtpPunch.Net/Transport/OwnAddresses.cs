using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>The addresses of this machine, the most useful ones first.</summary>
internal static class OwnAddresses
{
    // One that is stable, and one that changes (RFC 8981).
    private const int MostOfPrefix = 2;
    private const int PrefixLength = 8;

    // Nothing is sent there: documentation addresses (RFC 5737, RFC 3849).
    private static readonly IPEndPoint[] s_remote = [new(IPAddress.Parse("192.0.2.1"), 9), new(IPAddress.Parse("2001:db8::1"), 9)];

    /// <summary>All addresses but loopback and link-local ones, which the system chooses for link-local peers.</summary>
    /// <exception cref="NetworkInformationException">A sandbox hides them.</exception>
    public static List<IPAddress> All() => [.. Ranked(Read()).Select(it => it.Address)];

    /// <summary>Whether datagrams to IPv4 addresses of the internet leave this machine.</summary>
    public static bool HasIPv4Route() => SourceTowards(s_remote[0]) is not null;

    /// <summary>Whether datagrams to IPv6 addresses of the internet leave this machine.</summary>
    public static bool HasIPv6Route() => SourceTowards(s_remote[1]) is not null;

    /// <summary>Those that a peer may be told. Networks within this machine count only if there are no others.</summary>
    /// <exception cref="NetworkInformationException">A sandbox hides them.</exception>
    public static List<IPAddress> ForPeers() => ForPeers(Read());

    internal static List<IPAddress> ForPeers(IEnumerable<OwnAddress> addresses) =>
        [.. Ranked(addresses)
            .GroupBy(it => it.Address.AddressFamily)
            .SelectMany(family => BestOf([.. family]))
            .OrderBy(it => it.Rank)
            .Select(it => it.Address)];

    private static IEnumerable<OwnAddress> BestOf(OwnAddress[] ofFamily)
    {
        var reachable = ofFamily.Where(it => !it.IsInternal).ToArray();
        reachable = reachable.Length > 0 ? reachable : ofFamily;
        var assigned = reachable.Where(it => !it.IsSelfAssigned).ToArray();
        return (assigned.Length > 0 ? assigned : reachable)
            .GroupBy(PrefixOf, StringComparer.Ordinal)
            .SelectMany(prefix => prefix.Take(MostOfPrefix));
    }

    private static string PrefixOf(OwnAddress it) => it.Address.AddressFamily == AddressFamily.InterNetworkV6
        ? Convert.ToHexString(it.Address.GetAddressBytes().AsSpan(0, PrefixLength))
        : it.Address.ToString();

    private static IOrderedEnumerable<OwnAddress> Ranked(IEnumerable<OwnAddress> addresses) => addresses
        .OrderBy(it => it.Rank)
        .ThenBy(it => it.IsPhysical ? 0 : 1)
        .ThenBy(it => it.Address.AddressFamily == AddressFamily.InterNetwork ? 0 : 1);

    private static List<OwnAddress> Read()
    {
        var sources = s_remote.Select(SourceTowards).OfType<IPAddress>().ToArray();
        var unusable = UnusableIPv6();
        return [..
            from card in NetworkInterface.GetAllNetworkInterfaces()
            where card.OperationalStatus is OperationalStatus.Up or OperationalStatus.Unknown && card.NetworkInterfaceType != NetworkInterfaceType.Loopback
            let properties = card.GetIPProperties()
            from unicast in properties.UnicastAddresses
            let address = unicast.Address
            where !IPAddress.IsLoopback(address) && !address.IsIPv6LinkLocal && !address.IsIPv6SiteLocal && !unusable.Contains(address)
            select new OwnAddress(
                address,
                card.Name,
                sources.Contains(address),
                properties.GatewayAddresses.Any(gateway => gateway.Address.AddressFamily == address.AddressFamily && !SocketFactory.IsWildcard(gateway.Address)),
                IsPhysical(card),
                card.NetworkInterfaceType is NetworkInterfaceType.Tunnel or NetworkInterfaceType.Ppp || HasFile(card, "tun_flags"),
                HasFile(card, "bridge"))];
    }

    private static bool IsPhysical(NetworkInterface card) => OperatingSystem.IsLinux()
        ? HasFile(card, "device")
        : card.NetworkInterfaceType is NetworkInterfaceType.Ethernet or NetworkInterfaceType.GigabitEthernet or NetworkInterfaceType.Wireless80211;

    private static bool HasFile(NetworkInterface card, string name) => OperatingSystem.IsLinux() && Path.Exists($"/sys/class/net/{card.Name}/{name}");

    /// <summary>The source of datagrams to a remote host; <see langword="null"/> if there is no route.</summary>
    private static IPAddress? SourceTowards(IPEndPoint remote)
    {
        try
        {
            using var socket = new Socket(remote.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            socket.Connect(remote);
            return (socket.LocalEndPoint as IPEndPoint)?.Address;
        }
        catch (SocketException)
        {
            return null;
        }
    }

    /// <summary>IPv6 addresses that are deprecated, or not known to be unique yet (RFC 4862). On Linux, .NET does not tell.</summary>
    private static HashSet<IPAddress> UnusableIPv6()
    {
        const int Deprecated = 0x20;
        const int Tentative = 0x40;
        try
        {
            // Address, index, prefix length, scope, flags, name.
            return [..
                from line in OperatingSystem.IsLinux() ? File.ReadAllLines("/proc/net/if_inet6") : []
                let words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
                where words.Length >= 5 && words[0].Length == 32
                where (int.Parse(words[4], NumberStyles.HexNumber, CultureInfo.InvariantCulture) & (Deprecated | Tentative)) != 0
                select new IPAddress(Convert.FromHexString(words[0]))];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or FormatException)
        {
            return [];                                   // a kernel without IPv6, or a sandbox
        }
    }
}
