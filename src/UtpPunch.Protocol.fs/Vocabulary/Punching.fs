namespace UtpPunch.Protocol

/// Names what was asked of a node that is no stream: a meeting, a punch. The caller picks it and never uses it again.
type TaskId = int

/// How a path was found.
[<RequireQualifiedAccess>]
type PathKind =
    /// The peer's own address: the same network, or no NAT.
    | Host
    /// The address that the rendezvous saw.
    | Observed
    /// A port that the peer's NAT was expected to take next.
    | Predicted
    /// The address from which the peer's packets came.
    | Reflexive
    /// One of many ports, tried at random.
    | Birthday

/// What a meeting is to do.
[<NoComparison>]
type MeetPlan =
    {
        /// The rendezvous. Its other sockets it names itself.
        Server: Endpoint
        /// 32 bytes that both peers derive from the room's name and secret.
        Room: Owned
        /// Our own addresses, with the port that the socket is bound to.
        Hosts: Endpoint[]
        /// Stays in the room after an introduction, and is introduced to whoever comes; others leave with the first one.
        Stays: bool
        /// How long to wait until a peer comes.
        Timeout: Duration
        /// How long a punch may take from the introduction on.
        PunchTimeout: Duration
        /// May open many sockets, and try many ports, when nothing else can work.
        Birthday: bool
        /// The hops that the first packets may take: past our own NATs, but not as far as the peer's.
        PrimingHops: int
    }

/// What came of a punch.
[<RequireQualifiedAccess>]
type PunchStage =
    /// There is a path.
    | Open
    /// The rendezvous never answered.
    | ServerSilent
    /// The rendezvous has no room for us.
    | ServerFull
    /// Nobody came in time.
    | NoPeer
    /// Not one packet of the peer arrived.
    | NothingHeard
    /// Packets of the peer arrived, but it never said that it hears us.
    | NotHeard
    /// There was a path, and the two could not agree on it in time.
    | NotAgreed
    /// The peer had given up already.
    | PeerGaveUp
    /// Called off here, or more than a node may do at once.
    | Cancelled
    /// The peer's offer was not one of this room's: damaged, or of another version.
    | Rejected

/// What a punch saw.
[<NoComparison>]
type PunchReport =
    {
        Stage: PunchStage
        /// The peer's end of the path; only with `Open`.
        Remote: Endpoint
        Kind: PathKind
        /// 0 when it was not measured.
        RoundTrip: Duration
        /// Whether it is for us to open the stream, and for the peer to accept it.
        Dials: bool
        /// Where the rendezvous saw us; where the peer did, if it said so.
        Observed: Endpoint
        SeenAs: Endpoint voption
        Mapping: PortPrediction
        PeerObserved: Endpoint voption
        PeerMapping: PortPrediction
        /// Packets sent and heard, of this punch.
        Sent: int
        Heard: int
        /// From the introduction on.
        Elapsed: Duration
    }
