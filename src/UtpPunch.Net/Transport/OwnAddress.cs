using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>An address of this machine, and what its interface shows.</summary>
/// <param name="Address">The address.</param>
/// <param name="Interface">The name of the interface.</param>
/// <param name="IsDefault">Whether datagrams to the internet leave from it.</param>
/// <param name="HasGateway">Whether a router is behind the interface.</param>
/// <param name="IsPhysical">Whether the interface is a device.</param>
/// <param name="IsTunnel">Whether the interface is a tunnel.</param>
/// <param name="IsBridge">Whether the interface joins others of this machine.</param>
internal sealed record OwnAddress(
    IPAddress Address, string Interface, bool IsDefault, bool HasGateway, bool IsPhysical, bool IsTunnel, bool IsBridge)
{
    // Of container runtimes and hypervisors, and overlays: an overlay that carries another one multiplies packets.
    private static readonly string[] s_virtual =
        ["docker", "podman", "br-", "bridge", "cni", "flannel", "cali", "lxc", "lxd", "incus", "veth", "vnet", "virbr", "vEthernet", "vboxnet", "VirtualBox",
            "vmnet", "VMware", "zt", "wt", "ZeroTier"];

    /// <summary>Whether other machines cannot be expected to reach it: it is in a network within this machine, or in an overlay.</summary>
    public bool IsInternal => !IsDefault && !HasGateway && (IsBridge || s_virtual.Any(name => Interface.StartsWith(name, StringComparison.Ordinal)));

    /// <summary>169.254.0.0/16, which a machine takes if it is given no address (RFC 3927).</summary>
    public bool IsSelfAssigned => Address.AddressFamily == AddressFamily.InterNetwork && Address.GetAddressBytes() is [169, 254, ..];

    /// <summary>The most useful ones have the lowest rank.</summary>
    public int Rank =>
        IsInternal ? 5
        : IsSelfAssigned ? 4
        : IsDefault ? 0
        : IsTunnel ? 3
        : HasGateway ? 1
        : 2;
}
