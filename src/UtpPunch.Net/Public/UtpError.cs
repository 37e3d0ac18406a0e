namespace UtpPunch;

/// <summary>What went wrong.</summary>
public enum UtpError
{
    /// <summary>A fault in this library. The node is unusable from then on; <see cref="Exception.InnerException"/> says more.</summary>
    InternalError,

    /// <summary>Nobody answered within <see cref="UtpNodeOptions.ConnectTimeout"/>.</summary>
    ConnectTimeout,

    /// <summary>The peer answered, and would not have us: nobody listens there.</summary>
    ConnectionRefused,

    /// <summary>The peer reset the stream: it aborted it, or no longer knows it.</summary>
    ConnectionReset,

    /// <summary>Data was sent again and again, and nothing was acknowledged within <see cref="UtpNodeOptions.GiveUpTimeout"/>.</summary>
    ConnectionTimedOut,

    /// <summary>Nothing at all was heard within <see cref="UtpNodeOptions.IdleTimeout"/>.</summary>
    IdleTimeout,

    /// <summary>The stream was aborted on this side.</summary>
    Aborted,

    /// <summary>The node that carries the stream was closed.</summary>
    NodeClosed,

    /// <summary>The node has as many streams as <see cref="UtpNodeOptions.MaxConnections"/> allows.</summary>
    TooManyConnections,

    /// <summary>The network has no way to the peer.</summary>
    NetworkUnreachable,

    /// <summary>The name of the peer has no address that this node could use.</summary>
    HostNotFound,

    /// <summary>
    /// A synchronous read or write took longer than <see cref="System.IO.Stream.ReadTimeout"/> or
    /// <see cref="System.IO.Stream.WriteTimeout"/>. The stream stays usable.
    /// </summary>
    OperationTimedOut,

    /// <summary>A datagram of <see cref="UtpNode.SendDatagramAsync"/> was longer than the system sends to that peer: some have a limit of
    /// their own, and a socket that must not fragment sends no more than the path carries in one piece.</summary>
    DatagramTooLong,

    /// <summary>A datagram of <see cref="UtpNode.SendDatagramAsync"/> was not sent for another reason, such as a stuck device or a
    /// forbidden address; <see cref="UtpException.SocketError"/> says which.</summary>
    DatagramNotSent,

    /// <summary>The rendezvous server did not answer.</summary>
    RendezvousUnreachable,

    /// <summary>The rendezvous server has no room for one more.</summary>
    RendezvousFull,

    /// <summary>Nobody else came to the room within <see cref="UtpMeetOptions.Timeout"/>.</summary>
    PeerNotFound,

    /// <summary>The peer was there, and no way to it was found. The message says what was seen, and what may help.</summary>
    PunchFailed,

    /// <summary>No STUN server told where it sees this node. The message says why.</summary>
    DiscoveryFailed,
}
