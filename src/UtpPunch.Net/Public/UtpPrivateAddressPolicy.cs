namespace UtpPunch;

/// <summary>Which private addresses of a peer are tried: private (RFC 1918), shared (100.64.0.0/10), unique local and link-local
/// ones.</summary>
public enum UtpPrivateAddressPolicy
{
    /// <summary>Those in a subnet of this machine (/24, or /64 of IPv6), and all of them if the rendezvous server sees both peers at one
    /// address.</summary>
    Shared = 0,

    /// <summary>All of them.</summary>
    Always = 1,

    /// <summary>None.</summary>
    Never = 2,
}
