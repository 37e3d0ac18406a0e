namespace UtpPunch.Protocol

/// Names a task of a node that is not a stream: a meeting, a punch, a discovery. The caller chooses it, and never uses it again.
type TaskId = int

/// Which candidate became the path (RFC 8445 names host, server-reflexive and peer-reflexive ones).
[<RequireQualifiedAccess>]
type PathKind =
    /// The peer's own address: the same network, or no NAT.
    | Host
    /// The address that the rendezvous saw: server-reflexive.
    | Observed
    /// A predicted port of the peer's NAT.
    | Predicted
    /// The address that the peer's packets came from: peer-reflexive.
    | Reflexive
    /// One of many ports, tried at random (birthday probing).
    | Birthday
    /// A port that the peer's router has mapped to it, by PCP, NAT-PMP or UPnP, or by hand.
    | Mapped

/// Whether private addresses that a peer names are probed: in other networks than the peer's, other hosts have them.
[<RequireQualifiedAccess>]
type PrivateAddressPolicy =
    /// If both peers have one outside address, or the address is in a subnet of one of this node's.
    | Shared
    | Always
    | Never

/// The parameters of a meeting.
[<NoComparison>]
type MeetPlan =
    {
        /// The addresses of the rendezvous, the best one first: the first that answers is used. It announces its other sockets itself.
        Servers: Endpoint[]
        /// 32 bytes that both peers derive from the room's name and secret.
        Room: Owned
        /// The node's own addresses, with the port that the socket is bound to, and the endpoints that a router has mapped to it.
        Hosts: Endpoint[]
        /// Whether the node stays in the room after an introduction, to be introduced to every further peer.
        Stays: bool
        /// How long to wait until a peer comes that is heard.
        Timeout: Duration
        /// How long a punch may take from the introduction on.
        PunchTimeout: Duration
        /// Whether birthday probing is allowed: many sockets and many ports, if no other candidate can work.
        Birthday: bool
        /// The hop limit of the first packets: beyond this node's NATs, but not as far as the peer's.
        PrimingHops: int
        PrivateAddresses: PrivateAddressPolicy
        /// How long the streams of a path that is gone wait for another one; `Time.never` for as long as they live.
        PathTimeout: Duration
        /// Whether the rendezvous is told how the punches with peers that it has introduced end.
        Reports: bool
    }

/// How a punch ended.
[<RequireQualifiedAccess>]
type PunchStage =
    /// There is a path.
    | Open
    /// The rendezvous never answered.
    | ServerSilent
    /// The rendezvous has no capacity for this registration.
    | ServerFull
    /// No peer came in time.
    | NoPeer
    /// No packet of the peer arrived.
    | NothingHeard
    /// Packets of the peer arrived, but it did not acknowledge ours.
    | NotHeard
    /// There was a path, but the peers did not agree on it in time.
    | NotAgreed
    /// The peer had given up already.
    | PeerGaveUp
    /// Cancelled here.
    | Cancelled
    /// The offers of all peers were not of this room: of peers without its key, damaged, or of another version.
    | Rejected
    /// The room has as many registrations as the rendezvous lets it have.
    | RoomFull
    /// There are as many punches as a node may have.
    | TooManyPunches

/// The result of a punch.
[<NoComparison>]
type PunchReport =
    {
        Stage: PunchStage
        /// The peer's end of the path; only with `Open`.
        Remote: Endpoint
        Kind: PathKind
        /// 0 when it was not measured.
        RoundTrip: Duration
        /// Whether this node opens the stream, and the peer accepts it.
        Dials: bool
        /// The endpoint of this node that the rendezvous saw, and the one that the peer saw, if it told.
        Observed: Endpoint
        SeenAs: Endpoint voption
        Mapping: PortPrediction
        PeerObserved: Endpoint voption
        PeerMapping: PortPrediction
        /// Packets of this punch that were sent and received.
        Sent: int
        Heard: int
        /// From the introduction on.
        Elapsed: Duration
    }

module internal PunchReport =
    /// Before anything has happened.
    let none =
        { Stage = PunchStage.Cancelled
          Remote = Endpoint.nowhere
          Kind = PathKind.Host
          RoundTrip = 0L<us>
          Dials = false
          Observed = Endpoint.nowhere
          SeenAs = ValueNone
          Mapping = PortPrediction.Unknown
          PeerObserved = ValueNone
          PeerMapping = PortPrediction.Unknown
          Sent = 0
          Heard = 0
          Elapsed = 0L<us> }
