namespace UtpPunch.Protocol

/// An address at which the peer may be reached.
[<NoComparison>]
type internal Candidate =
    {
        Remote: Endpoint
        Kind: PathKind
        /// How many probes were sent to it, and when the next one is due.
        Tried: int
        NextAt: Instant
        /// Whether a packet came from it: then the peer's NAT is open.
        WasHeard: bool
        /// The last probe sent to it, for the round-trip time.
        LastNumber: uint32
        LastSentAt: Instant
    }

/// The state of a punch.
[<RequireQualifiedAccess; NoComparison>]
type internal PunchPhase =
    /// Probing the candidates.
    | Probing
    /// A candidate has answered, and the peer is asked to use it. Only the lower peer asks, so that there is one choice.
    | Choosing of path: Endpoint * kind: PathKind * roundTrip: Duration * until: Instant
    /// Both peers use the path: the endpoint to send to, and the one that the peer's packets come from, which differ where NATs use a port per
    /// destination. Probes are answered, and keep-alives sent, until `until`.
    | Open of path: Endpoint * from: Endpoint * until: Instant
    /// Failed: a peer that still asks to use a path is refused.
    | Failed of report: PunchReport * until: Instant

/// How the peers know of each other.
[<RequireQualifiedAccess>]
type internal PunchStart =
    /// A rendezvous has introduced them. It has verified where each of them is seen, and says when both have begun.
    | Introduced
    /// Their offers have come by a channel of the application's: nothing is verified, and they begin at different times.
    | Offered
    /// The same, and the peer begins later: this node's offer was made when the peer's was there.
    | Answering

/// What a punch begins with: what the rendezvous and the peer's offer say, and the keys from them.
[<NoComparison>]
type internal PunchSetup =
    {
        TaskId: TaskId
        /// The first of the meetings that may have introduced the peer.
        Group: TaskId
        /// The peer's name at the rendezvous; empty without one.
        Peer: Owned
        Plan: MeetPlan
        Start: PunchStart
        /// The handle of the meeting that has begun it; 0 without one.
        Handle: uint64
        /// The rendezvous's nonce, which names the introduction; empty without one.
        Introduction: Owned
        Key: Owned
        Session: uint64
        /// The lower peer chooses the path and opens the stream.
        IsLower: bool
        Observed: Endpoint
        Mapping: PortPrediction
        PeerObserved: Endpoint
        PeerOffer: Offer
        /// What birthday probing draws its ports from.
        Random: uint32
    }

/// Two peers that a rendezvous has introduced try to reach each other. An authentic packet is answered to its source address, which becomes
/// a candidate too, whether or not it was advertised (RFC 8445, 7.3.1.3: peer-reflexive candidates).
[<NoComparison>]
type internal Punch =
    {
        Setup: PunchSetup
        StartedAt: Instant
        /// When both peers have begun: from here on, packets may reach the peer.
        GoAt: Instant
        /// Whether the peer is known to have begun: Go has come, so both have acknowledged their introduction.
        HasPeerBegun: bool
        GiveUpAt: Instant
        Phase: PunchPhase
        Candidates: Candidate[]
        /// The destinations of the last probes, the newest first: an answer names the probe that arrived, whatever its source.
        Asked: struct (uint32 * Endpoint)[]
        /// The number of the last packet sent.
        Number: uint32
        /// The numbers received.
        Received: ReplayWindow
        Sent: int
        /// Probes to addresses that the peer has named and that have not answered.
        SentUnverified: int
        Heard: int
        /// The endpoint at which the peer saw this node, once it has answered.
        SeenAs: Endpoint voption
        BirthdayProbing: BirthdayProbing voption
        /// The first of the sockets that are there for it; 0 if there are none.
        FirstSocket: int
        /// When birthday probing begins, if the ordinary candidates do not answer before.
        BirthdayAt: Instant
        KeepAliveAt: Instant
    }
