namespace UtpPunch;

/// <summary>How much of the remote endpoint a NAT's mapping, or a NAT's or firewall's filter, depends on (RFC 4787, sections 4.1 and 5).</summary>
public enum UtpNatBehavior
{
    /// <summary>It could not be determined.</summary>
    Unknown = 0,

    /// <summary>There is no NAT: the public address is the local one. It does not occur for filters.</summary>
    NoNat = 1,

    /// <summary>A mapping that is the same for all remote endpoints, or a filter that lets all of them pass.</summary>
    EndpointIndependent = 2,

    /// <summary>It depends on the remote address.</summary>
    AddressDependent = 3,

    /// <summary>It depends on the remote address and port.</summary>
    AddressAndPortDependent = 4,
}
