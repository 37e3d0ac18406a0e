namespace UtpPunch;

/// <summary>The error of a <see cref="UtpException"/>.</summary>
/// <remarks>Later versions may have further errors, so that a <c>switch</c> needs a default branch. The numbers do not change.</remarks>
public enum UtpError
{
    /// <summary>No error. No exception of this library has it.</summary>
    None = 0,

    /// <summary>The node has failed by a fault in this library, or because its socket was closed. <see cref="Exception.InnerException"/> is
    /// the cause.</summary>
    InternalError = 1,

    /// <summary>The peer did not answer within <see cref="UtpNodeOptions.ConnectTimeout"/>.</summary>
    ConnectTimeout = 2,

    /// <summary>The peer answered with a RESET: it does not listen; or its host reports, twice in a row, that no socket is at that port. The Linux
    /// transport hears such reports (ICMP), the managed one does not.</summary>
    ConnectionRefused = 3,

    /// <summary>The peer has reset the stream: it was aborted there, or is not known any more.</summary>
    ConnectionReset = 4,

    /// <summary>Data was retransmitted, and nothing was acknowledged within <see cref="UtpNodeOptions.AcknowledgementTimeout"/>.</summary>
    AcknowledgementTimeout = 5,

    /// <summary>No packet was received within <see cref="UtpNodeOptions.IdleTimeout"/>.</summary>
    IdleTimeout = 6,

    /// <summary>The stream was aborted on this side.</summary>
    Aborted = 7,

    /// <summary>The node of the stream was closed.</summary>
    NodeClosed = 8,

    /// <summary>The node has <see cref="UtpNodeOptions.MaxConnections"/> streams.</summary>
    TooManyConnections = 9,

    /// <summary>There is no route to the peer.</summary>
    NetworkUnreachable = 10,

    /// <summary>The name of the peer has no address that this node can send to.</summary>
    HostNotFound = 11,

    /// <summary>
    /// A synchronous read or write took longer than <see cref="System.IO.Stream.ReadTimeout"/> or
    /// <see cref="System.IO.Stream.WriteTimeout"/>. The stream can still be used.
    /// </summary>
    OperationTimeout = 12,

    /// <summary>A datagram of <see cref="UtpNode.SendDatagramAsync"/> was longer than the system sends, or than the path to the peer carries
    /// without fragmentation.</summary>
    DatagramTooLong = 13,

    /// <summary>A datagram of <see cref="UtpNode.SendDatagramAsync"/> was not sent for another reason, such as a stalled device or a firewall.
    /// <see cref="UtpException.SocketError"/> tells which.</summary>
    DatagramNotSent = 14,

    /// <summary>The rendezvous server did not answer.</summary>
    RendezvousUnreachable = 15,

    /// <summary>The rendezvous server has as many registrations as it may have.</summary>
    RendezvousFull = 16,

    /// <summary>No peer entered the room within <see cref="UtpPunchOptions.Timeout"/>.</summary>
    PeerNotFound = 17,

    /// <summary>The peer was introduced, but no path to it was found. The message tells what was observed, and what may help;
    /// <see cref="UtpException.Punch"/> has the facts.</summary>
    PunchFailed = 18,

    /// <summary>No STUN server told the address of this node. The message tells why.</summary>
    DiscoveryFailed = 19,

    /// <summary>This machine has no router that could map a port.</summary>
    GatewayNotFound = 20,

    /// <summary>The router has not answered by PCP, NAT-PMP or UPnP, or its answers are not valid.</summary>
    GatewaySilent = 21,

    /// <summary>The router refuses to map the port. The message has the protocol and its result code.</summary>
    PortMappingRefused = 22,

    /// <summary>The router has no outside address, or there is a NAT between it and this machine.</summary>
    DoubleNat = 23,

    /// <summary>The offer of a peer (<see cref="UtpNode.PunchAsync"/>) is not one: it was cut or changed on its way, or is something else, or is
    /// this node's own.</summary>
    InvalidOffer = 24,

    /// <summary>The offer of a peer has a version that this library does not read.</summary>
    OfferVersionNotSupported = 25,

    /// <summary>The offer of a peer was made with another <see cref="UtpPunchOptions.Secret"/>, or with none. At a rendezvous server: a peer entered the
    /// room, and no peer with the same secret did.</summary>
    OfferNotAuthentic = 26,

    /// <summary>The room has as many registrations as the rendezvous server lets it have
    /// (<see cref="UtpRendezvousServerOptions.MaxRegistrationsPerRoom"/>).</summary>
    RoomFull = 27,

    /// <summary>The node takes part in 1024 meetings, or has 4096 punches, at the same time, and begins no further one.</summary>
    TooManyPunches = 28,
}
