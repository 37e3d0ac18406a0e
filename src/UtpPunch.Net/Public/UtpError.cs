namespace UtpPunch;

/// <summary>The error of a <see cref="UtpException"/>.</summary>
public enum UtpError
{
    /// <summary>The node has failed by a fault in this library, or because its socket was closed. <see cref="Exception.InnerException"/> is
    /// the cause.</summary>
    InternalError,

    /// <summary>The peer did not answer within <see cref="UtpNodeOptions.ConnectTimeout"/>.</summary>
    ConnectTimeout,

    /// <summary>The peer answered with a RESET: it does not listen; or its host reports, twice in a row, that no socket is at that port. The Linux
    /// transport hears such reports (ICMP), the managed one does not.</summary>
    ConnectionRefused,

    /// <summary>The peer has reset the stream: it was aborted there, or is not known any more.</summary>
    ConnectionReset,

    /// <summary>Data was retransmitted, and nothing was acknowledged within <see cref="UtpNodeOptions.GiveUpTimeout"/>.</summary>
    ConnectionTimedOut,

    /// <summary>No packet was received within <see cref="UtpNodeOptions.IdleTimeout"/>.</summary>
    IdleTimeout,

    /// <summary>The stream was aborted on this side.</summary>
    Aborted,

    /// <summary>The node of the stream was closed.</summary>
    NodeClosed,

    /// <summary>The node has <see cref="UtpNodeOptions.MaxConnections"/> streams.</summary>
    TooManyConnections,

    /// <summary>There is no route to the peer.</summary>
    NetworkUnreachable,

    /// <summary>The name of the peer has no address that this node can send to.</summary>
    HostNotFound,

    /// <summary>
    /// A synchronous read or write took longer than <see cref="System.IO.Stream.ReadTimeout"/> or
    /// <see cref="System.IO.Stream.WriteTimeout"/>. The stream can still be used.
    /// </summary>
    OperationTimedOut,

    /// <summary>A datagram of <see cref="UtpNode.SendDatagramAsync"/> was longer than the system sends, or than the path to the peer carries
    /// without fragmentation.</summary>
    DatagramTooLong,

    /// <summary>A datagram of <see cref="UtpNode.SendDatagramAsync"/> was not sent for another reason, such as a stalled device or a firewall.
    /// <see cref="UtpException.SocketError"/> tells which.</summary>
    DatagramNotSent,

    /// <summary>The rendezvous server did not answer.</summary>
    RendezvousUnreachable,

    /// <summary>The rendezvous server has as many registrations as it may have.</summary>
    RendezvousFull,

    /// <summary>No peer entered the room within <see cref="UtpMeetOptions.Timeout"/>.</summary>
    PeerNotFound,

    /// <summary>The peer was introduced, but no path to it was found. The message tells what was observed, and what may help.</summary>
    PunchFailed,

    /// <summary>No STUN server told the address of this node. The message tells why.</summary>
    DiscoveryFailed,

    /// <summary>This machine has no router that could map a port.</summary>
    GatewayNotFound,

    /// <summary>The router has not answered by PCP, NAT-PMP or UPnP, or its answers are not valid.</summary>
    GatewaySilent,

    /// <summary>The router refuses to map the port. The message has the protocol and its result code.</summary>
    PortMappingRefused,

    /// <summary>The router has no outside address, or there is a NAT between it and this machine.</summary>
    DoubleNat,

    /// <summary>The offer of a peer (<see cref="UtpNode.PunchAsync"/>) is not one: it was cut or changed on its way, or is something else, or is
    /// this node's own.</summary>
    InvalidOffer,

    /// <summary>The offer of a peer has a version that this library does not read.</summary>
    OfferVersionNotSupported,

    /// <summary>The offer of a peer was made with another <see cref="UtpMeetOptions.Secret"/>, or with none.</summary>
    OfferNotAuthentic,

    /// <summary>The room has as many registrations as the rendezvous server lets it have
    /// (<see cref="RendezvousServerOptions.MaxRegistrationsPerRoom"/>).</summary>
    RoomFull,
}
