namespace UtpPunch;

/// <summary>How a NAT assigns public ports to one local socket, as two sockets of a rendezvous server see it (RFC 4787, 4.1 and 4.2).</summary>
public enum UtpNatPortAssignment
{
    /// <summary>Unknown, because the rendezvous server has one socket only.</summary>
    Unknown = 0,

    /// <summary>The same port for all destinations, or no NAT.</summary>
    EndpointIndependent = 1,

    /// <summary>Another port for each destination, in a predictable order.</summary>
    Sequential = 2,

    /// <summary>Another port for each destination, in no order.</summary>
    Random = 3,
}
