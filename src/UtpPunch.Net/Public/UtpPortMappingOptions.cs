using System.Net.Sockets;

namespace UtpPunch;

/// <summary>The options of <see cref="UtpNode.MapPortAsync"/>.</summary>
public sealed class UtpPortMappingOptions
{
    /// <summary>Gets or sets the lifetime to ask the router for. The mapping is renewed at a random time between 1/2 and 5/8 of it, or of
    /// what the router grants if that is less (RFC 6887, section 11.2.1), but not before 4 s. A router that has restarted has the mapping
    /// again after that time at the latest. If the node fails to delete it, the mapping lasts as long as the router has granted.</summary>
    /// <value>The default is 3600 s, an hour. The range is 1 s to 24 h.</value>
    public TimeSpan Lifetime { get; set; } = TimeSpan.FromHours(1);

    /// <summary>Gets or sets the external port to suggest. The router may choose another one.</summary>
    /// <value>The default is 0: the port of the node. The range is 0 to 65535.</value>
    public int ExternalPort { get; set; }

    /// <summary>Gets or sets whether to map an IPv4 port, or to open a pinhole in the firewall of an IPv6 router, which leaves address and
    /// port as they are.</summary>
    /// <value>The default is <see cref="AddressFamily.InterNetwork"/>; the other value is <see cref="AddressFamily.InterNetworkV6"/>.</value>
    public AddressFamily AddressFamily { get; set; } = AddressFamily.InterNetwork;

    /// <summary>Gets or sets the only protocol to use.</summary>
    /// <value>The default is <see langword="null"/>: all of them.</value>
    public UtpPortMappingProtocol? Protocol { get; set; }
}
