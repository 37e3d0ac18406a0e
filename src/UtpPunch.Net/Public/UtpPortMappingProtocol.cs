namespace UtpPunch;

/// <summary>The protocol by which a router has mapped a port.</summary>
public enum UtpPortMappingProtocol
{
    /// <summary>The Port Control Protocol (RFC 6887).</summary>
    Pcp = 0,

    /// <summary>The NAT Port Mapping Protocol (RFC 6886).</summary>
    NatPmp = 1,

    /// <summary>The Internet Gateway Device of UPnP, version 1 or 2.</summary>
    Upnp = 2,
}
