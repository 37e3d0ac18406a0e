namespace UtpPunch.Protocol

/// An address that may be the peer's.
[<NoComparison>]
type internal Candidate =
    {
        Remote: Endpoint
        Kind: PathKind
        /// How often it was tried, and when next.
        Tried: int
        NextAt: Instant
        /// Whether a packet came from there: then the peer's NAT is open.
        WasHeard: bool
        /// The last packet that went there, for the round trip.
        LastNumber: uint32
        LastSentAt: Instant
    }

/// Where a punch stands.
[<RequireQualifiedAccess; NoComparison>]
type internal PunchPhase =
    /// Trying addresses.
    | Probing
    /// An address has answered; the peer is asked to take it. Only the lower peer asks, so that there is one choice.
    | Choosing of path: Endpoint * kind: PathKind * roundTrip: Duration * until: Instant
    /// Both have the path: where we send, and whence the peer's packets come, which is not the same where NATs take a port for each
    /// destination. Questions are answered for a while, and the path is kept open.
    | Open of path: Endpoint * from: Endpoint * until: Instant
    /// Given up: a peer that still chooses is told.
    | Failed of until: Instant

/// Two peers that a rendezvous has introduced try to reach each other. Whoever hears an authentic packet answers to where it came from,
/// whatever address that is, and tries that address as well: what counts is not what was advertised, but what arrives (RFC 8445, 7.3.1.3).
[<NoComparison>]
type internal Punch =
    {
        TaskId: TaskId
        Plan: MeetPlan
        Introduction: Owned
        Key: Owned
        Session: uint64
        /// The lower peer chooses the path, and opens the stream.
        IsLower: bool
        Observed: Endpoint
        Mapping: PortPrediction
        PeerObserved: Endpoint
        PeerOffer: Offer
        StartedAt: Instant
        /// When both were known to have begun: from here on, packets may reach the peer.
        GoAt: Instant
        GiveUpAt: Instant
        Phase: PunchPhase
        Candidates: Candidate[]
        /// Where the last questions went, the newest first: an answer tells which of them arrived, whatever address it comes from.
        Asked: struct (uint32 * Endpoint)[]
        /// Of the last packet sent.
        Number: uint32
        /// Of the highest packet heard, and which of the 64 up to it were.
        Highest: uint32
        Window: uint64
        Sent: int
        Heard: int
        /// Whether the peer hears us, and as whom.
        SeenAs: Endpoint voption
        BirthdayProbing: BirthdayProbing voption
        /// The first of the sockets that are there for it; 0 if there are none.
        FirstSocket: int
        SprayAt: Instant
        SprayRandom: uint32
        KeepAliveAt: Instant
    }
