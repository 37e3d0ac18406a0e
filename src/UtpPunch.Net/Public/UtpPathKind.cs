namespace UtpPunch;

/// <summary>How a path was found.</summary>
public enum UtpPathKind
{
    /// <summary>A local address of the peer: both are in the same network, or there is no NAT.</summary>
    Host = 0,

    /// <summary>The address of the peer as the rendezvous server, or a STUN server, sees it.</summary>
    Observed = 1,

    /// <summary>A port that was predicted for the NAT of the peer.</summary>
    Predicted = 2,

    /// <summary>The source address of the peer's packets.</summary>
    Reflexive = 3,

    /// <summary>A port that birthday probing has found.</summary>
    Birthday = 4,

    /// <summary>A port that the router of the peer has mapped to it (<see cref="UtpPunchOptions.UsePortMapping"/>).</summary>
    Mapped = 5,
}
